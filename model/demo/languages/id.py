"""Indonesian, with "kamu" for the one who is asked and "saya" for the one who speaks.

Nothing agrees and nothing changes after a number or "berapa". Adjectives follow the noun, size last
("lingkaran merah besar"). Pink is "pink", not "merah muda", which would hold the word for red.
Whether there is a thing is asked with "ada", so the answer is "Ada." or "Tidak ada.".
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

_NOUNS = {
    "circle": "lingkaran",
    "square": "persegi",
    "triangle": "segitiga",
    "star": "bintang",
    "cross": "salib",
    "heart": "hati",
    "diamond": "belah ketupat",
    "moon": "bulan",
    "digit": "angka",
    None: "benda",
}
_ADJECTIVES = {
    "red": "merah",
    "orange": "oranye",
    "yellow": "kuning",
    "green": "hijau",
    "blue": "biru",
    "purple": "ungu",
    "pink": "pink",
    "brown": "cokelat",
    "black": "hitam",
    "white": "putih",
    "big": "besar",
    "small": "kecil",
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "nama" (bare), "sebuah" (one), "colour", "shape"."""
    if form == "colour":
        return _ADJECTIVES[str(colour)]
    if form == "shape":
        return _NOUNS[shape]
    words = " ".join([_NOUNS[shape], *(_ADJECTIVES[word] for word in (colour, size) if word)])
    return f"sebuah {words}" if form == "sebuah" else words


ASK = {
    "colour": Split(
        (
            "Apa warna {thing:nama}{where}?",
            "Beri tahu saya warna {thing:nama}{where}.",
            "{thing:nama}{where} warnanya apa?",
            "{thing:nama}{where} berwarna apa?",
            "Kamu tahu apa warna {thing:nama}{where}?",
            "Sebutkan warna {thing:nama}{where}.",
            "Bisa sebutkan warna {thing:nama}{where}?",
            "Katakan apa warna {thing:nama}{where}.",
        ),
        (
            "Bisakah kamu menyebutkan warna {thing:nama}{where}?",
            "Saya ingin tahu apa warna {thing:nama}{where}.",
        ),
    ),
    "shape": Split(
        (
            "Apa bentuk {thing:nama}{where}?",
            "Beri tahu saya bentuk {thing:nama}{where}.",
            "{thing:nama}{where} bentuknya apa?",
            "{thing:nama}{where} berbentuk apa?",
            "Kamu tahu apa bentuk {thing:nama}{where}?",
            "Sebutkan bentuk {thing:nama}{where}.",
            "Bisa sebutkan bentuk {thing:nama}{where}?",
        ),
        (
            "Bisakah kamu menyebutkan bentuk {thing:nama}{where}?",
            "Saya ingin tahu apa bentuk {thing:nama}{where}.",
        ),
    ),
    "only_shape": Split(
        (
            "Ada bentuk apa{where}?",
            "Bentuk apa yang ada{where}?",
            "Bentuk apa yang kamu lihat{where}?",
            "{image} menunjukkan bentuk apa?",
        ),
        ("Bentuk apa yang terlihat{where}?", "Sebutkan bentuk yang ada{where}."),
    ),
    "size": Split(
        (
            "Apakah {thing:nama}{where} berukuran besar atau kecil?",
            "Apakah {thing:nama}{where} berukuran kecil atau besar?",
            "{thing:nama}{where} ukurannya besar atau kecil?",
            "Bagaimana ukuran {thing:nama}{where}?",
            "Seberapa besar {thing:nama}{where}?",
            "Katakan apakah {thing:nama}{where} berukuran besar atau kecil.",
        ),
        (
            "Besar atau kecil: bagaimana ukuran {thing:nama}{where}?",
            "Saya ingin tahu seberapa besar {thing:nama}{where}.",
        ),
    ),
    "count": Split(
        (
            "Ada berapa {thing:nama}{where}?",
            "Berapa banyak {thing:nama}{where}?",
            "Berapa jumlah {thing:nama}{where}?",
            "Berapa banyak {thing:nama} yang ada{where}?",
            "Berapa banyak {thing:nama} yang kamu lihat{where}?",
            "Hitung {thing:nama}{where}.",
            "Hitung jumlah {thing:nama}{where}.",
        ),
        (
            "Berapa banyak {thing:nama} yang terlihat{where}?",
            "Saya ingin tahu berapa jumlah {thing:nama}{where}.",
        ),
    ),
    "left_right": Split(
        (
            "Apakah {thing:nama}{where} ada di kiri atau di kanan?",
            "Apakah {thing:nama}{where} ada di kanan atau di kiri?",
            "{thing:nama}{where} ada di sebelah kiri atau kanan?",
            "Di sebelah mana {thing:nama}{where}, kiri atau kanan?",
        ),
        (
            "Katakan apakah {thing:nama}{where} ada di sebelah kanan atau kiri.",
            "Kiri atau kanan: di mana {thing:nama}{where}?",
        ),
    ),
    "top_bottom": Split(
        (
            "Apakah {thing:nama}{where} ada di atas atau di bawah?",
            "Apakah {thing:nama}{where} ada di bawah atau di atas?",
            "{thing:nama}{where} ada di bagian atas atau bawah?",
            "Di bagian mana {thing:nama}{where}, atas atau bawah?",
        ),
        (
            "Katakan apakah {thing:nama}{where} ada di bagian bawah atau atas.",
            "Atas atau bawah: di mana {thing:nama}{where}?",
        ),
    ),
    "left_of": Split(
        (
            "Apakah {thing:nama} ada di sebelah kiri {other:nama}{where}?",
            "Apakah {thing:nama} berada di kiri {other:nama}{where}?",
            "Apakah {thing:nama} terletak di sebelah kiri {other:nama}{where}?",
        ),
        ("Apakah letak {thing:nama} di sebelah kiri {other:nama}{where}?",),
    ),
    "right_of": Split(
        (
            "Apakah {thing:nama} ada di sebelah kanan {other:nama}{where}?",
            "Apakah {thing:nama} berada di kanan {other:nama}{where}?",
            "Apakah {thing:nama} terletak di sebelah kanan {other:nama}{where}?",
        ),
        ("Apakah letak {thing:nama} di sebelah kanan {other:nama}{where}?",),
    ),
    "above": Split(
        (
            "Apakah {thing:nama} ada di atas {other:nama}{where}?",
            "Apakah {thing:nama} berada di atas {other:nama}{where}?",
            "Apakah letak {thing:nama} lebih tinggi daripada {other:nama}{where}?",
        ),
        ("Apakah {thing:nama} terletak di atas {other:nama}{where}?",),
    ),
    "below": Split(
        (
            "Apakah {thing:nama} ada di bawah {other:nama}{where}?",
            "Apakah {thing:nama} berada di bawah {other:nama}{where}?",
            "Apakah letak {thing:nama} lebih rendah daripada {other:nama}{where}?",
        ),
        ("Apakah {thing:nama} terletak di bawah {other:nama}{where}?",),
    ),
    "which": Split(
        (
            "Gambar mana yang memuat {thing:sebuah}?",
            "Gambar mana yang menunjukkan {thing:sebuah}?",
            "Di gambar mana ada {thing:nama}?",
            "Di foto mana kamu melihat {thing:nama}?",
            "Di gambar mana terdapat {thing:sebuah}?",
            "Sebutkan gambar mana yang memuat {thing:nama}.",
        ),
        ("Di gambar mana terlihat {thing:sebuah}?", "Foto mana yang menunjukkan {thing:nama}?"),
    ),
    "same_shape": Split(
        (
            "Apakah gambar {n} dan gambar {m} menunjukkan bentuk yang sama?",
            "Apakah bentuk di gambar {n} sama dengan bentuk di gambar {m}?",
            "Apakah bentuk di foto {n} dan foto {m} sama?",
            "Samakah bentuk di gambar {n} dan gambar {m}?",
        ),
        ("Apakah foto {n} dan foto {m} menunjukkan bentuk yang sama?",),
    ),
    "same_colour": Split(
        (
            "Apakah gambar {n} dan gambar {m} menunjukkan warna yang sama?",
            "Apakah warna di gambar {n} sama dengan warna di gambar {m}?",
            "Apakah warna benda di foto {n} dan foto {m} sama?",
            "Samakah warna di gambar {n} dan gambar {m}?",
        ),
        ("Apakah foto {n} dan foto {m} menunjukkan warna yang sama?",),
    ),
    "odd": Split(
        (
            "Gambar mana yang berbeda dari yang lain?",
            "Foto mana yang berbeda dari yang lain?",
            "Gambar mana yang paling berbeda?",
            "Gambar mana yang tidak cocok dengan yang lain?",
        ),
        ("Sebutkan gambar mana yang berbeda.", "Foto mana yang tidak cocok dengan yang lain?"),
    ),
    "digit": Split(
        (
            "Angka berapa yang ada{where}?",
            "Angka berapa yang kamu lihat{where}?",
            "Angka berapa yang tertulis{where}?",
            "{image} menunjukkan angka berapa?",
            "Bacalah angka{where}.",
        ),
        ("Bisakah kamu membaca angka{where}?", "Angka berapa yang terlihat{where}?"),
    ),
    "describe": Split(
        (
            "Jelaskan {image}.",
            "Apa yang ada{where}?",
            "Apa yang kamu lihat{where}?",
            "Apa isi {image}?",
            "Bisa jelaskan {image}?",
            "Deskripsikan {image}.",
        ),
        ("Tolong jelaskan {image}.", "Apa yang terlihat{where}?", "Jelaskan apa isi {image}."),
    ),
    "exist": Split(
        (
            "Apakah ada {thing:nama}{where}?",
            "Adakah {thing:nama}{where}?",
            "Apakah{where} ada {thing:sebuah}?",
            "Ada {thing:nama}{where} atau tidak?",
            "Katakan apakah ada {thing:nama}{where}.",
        ),
        ("Apakah ada {thing:sebuah} yang terlihat{where}?", "Ada tidak {thing:nama}{where}?"),
    ),
    "elsewhere": Split(
        ("Kalau{where}?", "Kalau {image}?", "Bagaimana dengan {image}?", "Lalu{where}?"),
        ("Lalu bagaimana{where}?", "Lalu bagaimana dengan {image}?"),
    ),
    "another": Split(
        ("Kalau {thing:nama}?", "Bagaimana dengan {thing:nama}?", "Lalu {thing:nama}?"),
        ("Lalu bagaimana dengan {thing:nama}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Besar.",
    "small": "Kecil.",
    "left": "Di kiri.",
    "right": "Di kanan.",
    "top": "Di atas.",
    "bottom": "Di bawah.",
    **dict.fromkeys(("relation_yes", "same_yes"), "Ya."),
    **dict.fromkeys(("relation_no", "same_no"), "Tidak."),
    "exist_yes": "Ada.",
    "exist_no": "Tidak ada.",
    "none": "Tidak ada.",
    "number": "{n}.",
    "image": "Gambar {n}.",
    "item": "{thing:sebuah}",
}

CHAT = {
    "greeting": (
        Split(("Halo", "Halo!", "Hai", "Selamat pagi", "Selamat malam!"), ("Hai, halo", "Selamat siang!")),
        "Halo! Tunjukkan gambar dan ajukan pertanyaan tentangnya.",
    ),
    "how_are_you": (
        Split(
            ("Apa kabar?", "Bagaimana kabarmu?", "Apa kabar hari ini?", "Kamu baik-baik saja?"),
            ("Halo, apa kabar?", "Bagaimana kabarmu hari ini?"),
        ),
        "Kabar saya baik, terima kasih.",
    ),
    "who": (
        Split(
            ("Siapa kamu?", "Kamu siapa?", "Siapa namamu?", "Apakah kamu Llama 4?", "Kamu model apa?"),
            ("Halo, siapa kamu?", "Bisa sebutkan siapa kamu?"),
        ),
        "Saya model mungil untuk bahan belajar, dibangun seperti Llama 4.",
    ),
    "abilities": (
        Split(
            ("Kamu bisa apa?", "Apa yang bisa kamu lakukan?", "Apa yang bisa saya tanyakan?", "Bantuan"),
            ("Katakan apa yang bisa kamu lakukan.", "Saya bisa tanya apa?"),
        ),
        "Saya bisa mengenali, menghitung, dan membandingkan bentuk dalam gambar.",
    ),
    "thanks": (
        Split(
            ("Terima kasih", "Terima kasih!", "Makasih", "Terima kasih banyak.", "Bagus, terima kasih!"),
            ("Makasih banyak!", "Bagus, makasih."),
        ),
        "Sama-sama.",
    ),
    "bye": (
        Split(("Dah", "Dadah!", "Selamat tinggal", "Sampai jumpa", "Sampai nanti!"), ("Dah, sampai jumpa!",)),
        "Sampai jumpa!",
    ),
    "outside": (
        Split(
            (
                "Apa ibu kota Prancis?",
                "Ceritakan sebuah lelucon.",
                "Berapa dua tambah dua?",
                "Tulislah sebuah puisi.",
                "Bagaimana cuaca hari ini?",
                "Siapa presidennya?",
                "Jam berapa sekarang?",
                "Siapa yang menulis Hamlet?",
            ),
            ("Apa ibu kota Italia?", "Tulislah sebuah cerita untuk saya.", "Katakan jam berapa sekarang."),
        ),
        "Maaf, saya hanya tahu tentang bentuk dalam gambar.",
    ),
}

LANGUAGE = Language(
    code="id",
    name="Indonesian",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("gambar {n}", "foto {n}", "gambar ke-{n}"), ("gambar nomor {n}", "foto {n}")),
    only=Split(("gambar ini", "foto ini", "gambar itu"), ("foto itu", "gambar ini")),
    in_numbered=Split(
        (" di gambar {n}", " pada gambar {n}", " di foto {n}", " di gambar ke-{n}"),
        (" di gambar nomor {n}", " pada foto {n}"),
    ),
    in_only=Split(
        ("", " di gambar", " di gambar ini", " pada gambar ini"), ("", " di foto ini", " di gambar")
    ),
    answers=ANSWERS,
    separators=(", ", " dan "),
    full_stop=".",
    chat=CHAT,
    no_picture="Tolong tunjukkan gambar dulu.",
    before=("Maaf, ", "Halo, ", "Oke, ", "Jadi, "),
    after=(", ya", " ya"),
)
