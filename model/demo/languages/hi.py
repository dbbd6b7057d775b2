"""Hindi.

Adjectives agree with their noun in gender, number and case, and so do verbs and "how many": a form that is
itself a Hindi word, as in {thing:बड़ा} or {thing:का}, gives that word in the noun's gender. All shapes are
masculine; only "चीज़" (object) is feminine. A picture is named before what is in it, so {where} carries its
space behind, and {image} always stands before a postposition. "आकार" is shape alone; size is "साइज़".
Letters with a nukta are two code points, as Unicode normalises them (NFC).
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# what stands before a postposition differs from the plain form in तारा only
_NOUNS = {
    "circle": "वृत्त", "square": "वर्ग", "triangle": "त्रिभुज", "star": "तारा", "cross": "क्रॉस", "heart": "दिल",
    "diamond": "समचतुर्भुज", "moon": "चाँद", "digit": "अंक", None: "चीज़",
}  # fmt: skip
_ADJECTIVES = {
    "red": "लाल", "orange": "नारंगी", "yellow": "पीला", "green": "हरा", "blue": "नीला", "purple": "बैंगनी",
    "pink": "गुलाबी", "brown": "भूरा", "black": "काला", "white": "सफ़ेद", "big": "बड़ा", "small": "छोटा",
}  # fmt: skip
_AGREEING = ("का", "बड़ा", "छोटा", "कितना", "कितने", "दिखता", "दिखते", "रहा", "रहे")


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "direct", "one", "oblique", "plural", "oblique_plural", "colour", "shape", and _AGREEING."""
    if form == "colour":
        return _ADJECTIVES[str(colour)]
    noun = _NOUNS[shape]
    if form == "shape":
        return noun
    if form in _AGREEING:
        return form if shape else f"{form[:-1]}ी"
    if form == "one":
        return f"एक {phrase(shape, colour, size, 'direct')}"
    if form not in ("direct", "oblique", "plural", "oblique_plural"):
        raise ValueError(f"form {form!r} is unknown in Hindi")
    ending = "ी" if shape is None else "ा" if form == "direct" else "े"
    words = [_ADJECTIVES[name] for name in (size, colour) if name]
    words = [f"{word[:-1]}{ending}" if word.endswith("ा") else word for word in words]
    if form == "oblique_plural":
        noun = f"{noun.removesuffix('ा')}ों"
    elif shape is None and form == "plural":
        noun = f"{noun}ें"
    elif noun.endswith("ा") and form != "direct":
        noun = f"{noun[:-1]}े"
    return " ".join((*words, noun))


def _relation(*places: str) -> Split:
    """Is one thing there, seen from the other? The first place is the test's too."""
    asked = "क्या {{where}}{{thing:direct}} {{other:oblique}} {} है".format
    return Split(tuple(f"{asked(place)}?" for place in places), (f"बताओ कि {asked(places[0])}।",))


ASK = {
    "colour": Split(
        (
            "{where}{thing:oblique} का रंग क्या है?",
            "{where}{thing:oblique} का रंग कौन सा है?",
            "{where}{thing:oblique} का क्या रंग है?",
            "{where}{thing:direct} किस रंग {thing:का} है?",
            "{thing:direct} {where}किस रंग {thing:का} है?",
            "{where}{thing:oblique} का रंग बताओ।",
            "बताओ कि {where}{thing:oblique} का रंग क्या है।",
            "क्या आप बता सकते हैं कि {where}{thing:direct} किस रंग {thing:का} है?",
        ),
        (
            "क्या तुम {where}{thing:oblique} का रंग बता सकते हो?",
            "कृपया बताइए कि {where}{thing:oblique} का रंग कौन सा है।",
            "मुझे जानना है कि {where}{thing:direct} किस रंग {thing:का} है।",
        ),
    ),
    "shape": Split(
        (
            "{where}{thing:oblique} का आकार क्या है?",
            "{where}{thing:oblique} का आकार कौन सा है?",
            "{where}{thing:direct} किस आकार {thing:का} है?",
            "{where}{thing:direct} कौन सी आकृति है?",
            "{where}{thing:oblique} की आकृति क्या है?",
            "{where}{thing:oblique} का आकार बताओ।",
            "बताओ कि {where}{thing:direct} कौन सी आकृति है।",
            "क्या आप बता सकते हैं कि {where}{thing:direct} किस आकार {thing:का} है?",
        ),
        (
            "क्या तुम {where}{thing:oblique} का आकार बता सकते हो?",
            "कृपया बताइए कि {where}{thing:oblique} का आकार क्या है।",
            "मुझे जानना है कि {where}{thing:direct} किस आकार {thing:का} है।",
        ),
    ),
    "only_shape": Split(
        (
            "{image} में कौन सी आकृति है?",
            "{where}कौन सा आकार है?",
            "{where}कौन सी आकृति दिख रही है?",
            "आपको {where}कौन सी आकृति दिखती है?",
        ),
        ("आपको {image} में कौन सी आकृति दिख रही है?", "बताओ कि {where}कौन सी आकृति है।"),
    ),
    "size": Split(
        (
            "{where}{thing:direct} {thing:बड़ा} है या {thing:छोटा}?",
            "{where}{thing:direct} {thing:छोटा} है या {thing:बड़ा}?",
            "{thing:direct} {where}{thing:बड़ा} है या {thing:छोटा}?",
            "{where}{thing:direct} {thing:कितना} {thing:बड़ा} है?",
            "{where}{thing:oblique} का साइज़ क्या है?",
            "बताओ कि {where}{thing:direct} {thing:बड़ा} है या {thing:छोटा}।",
        ),
        (
            "{where}{thing:oblique} का साइज़ बताओ।",
            "मुझे जानना है कि {where}{thing:direct} {thing:कितना} {thing:बड़ा} है।",
            "क्या आप बता सकते हैं कि {where}{thing:direct} {thing:बड़ा} है या {thing:छोटा}?",
        ),
    ),
    "count": Split(
        (
            "{where}{thing:कितने} {thing:plural} हैं?",
            "{where}कुल {thing:कितने} {thing:plural} हैं?",
            "{image} में {thing:कितने} {thing:plural} {thing:दिखते} हैं?",
            "आपको {where}{thing:कितने} {thing:plural} दिख {thing:रहे} हैं?",
            "{where}{thing:oblique_plural} की संख्या कितनी है?",
            "{where}{thing:plural} गिनो।",
            "गिनकर बताओ कि {image} में {thing:कितने} {thing:plural} हैं।",
        ),
        (
            "कृपया {where}{thing:plural} गिनिए।",
            "आप {where}{thing:कितने} {thing:plural} गिन सकते हैं?",
            "मुझे जानना है कि {image} में {thing:कितने} {thing:plural} हैं।",
        ),
    ),
    "left_right": Split(
        (
            "{where}{thing:direct} बाईं ओर है या दाईं ओर?",
            "{where}{thing:direct} दाईं ओर है या बाईं ओर?",
            "{where}{thing:direct} बाएँ है या दाएँ?",
            "{where}{thing:direct} किस ओर है, बाईं या दाईं?",
            "बताओ कि {where}{thing:direct} बाईं ओर है या दाईं ओर।",
        ),
        (
            "कृपया बताइए कि {where}{thing:direct} किस ओर है, दाईं या बाईं।",
            "क्या आप बता सकते हैं कि {where}{thing:direct} बाईं ओर है या दाईं ओर?",
        ),
    ),
    "top_bottom": Split(
        (
            "{where}{thing:direct} ऊपर है या नीचे?",
            "{where}{thing:direct} नीचे है या ऊपर?",
            "{thing:direct} {where}ऊपर है या नीचे?",
            "{where}{thing:direct} ऊपर की ओर है या नीचे की ओर?",
            "बताओ कि {where}{thing:direct} ऊपर है या नीचे।",
        ),
        (
            "ऊपर या नीचे: {where}{thing:direct} कहाँ है?",
            "क्या आप बता सकते हैं कि {where}{thing:direct} ऊपर है या नीचे?",
        ),
    ),
    "left_of": _relation("के बाईं ओर", "की बाईं ओर", "के बाएँ"),
    "right_of": _relation("के दाईं ओर", "की दाईं ओर", "के दाएँ"),
    "above": _relation("के ऊपर", "से ऊपर"),
    "below": _relation("के नीचे", "से नीचे"),
    "which": Split(
        (
            "किस चित्र में {thing:direct} है?",
            "किस तस्वीर में {thing:direct} है?",
            "किस फ़ोटो में {thing:direct} {thing:दिखता} है?",
            "{thing:direct} किस चित्र में है?",
            "{thing:direct} कौन सी तस्वीर में है?",
            "आपको किस तस्वीर में {thing:direct} दिख {thing:रहा} है?",
            "बताओ कि {thing:direct} किस चित्र में है।",
        ),
        (
            "इनमें से किस चित्र में {thing:direct} है?",
            "कृपया बताइए कि {thing:direct} किस तस्वीर में है।",
            "आपको किस फ़ोटो में {thing:direct} {thing:दिखता} है?",
        ),
    ),
    "same_shape": Split(
        (
            "क्या चित्र {n} और चित्र {m} में एक ही आकृति है?",
            "क्या चित्र {n} और {m} की आकृति एक जैसी है?",
            "क्या तस्वीर {n} और तस्वीर {m} में एक जैसी आकृति है?",
            "क्या तस्वीर {n} और {m} की आकृति एक ही है?",
        ),
        ("क्या तस्वीर {n} और {m} में एक ही आकृति दिखती है?", "बताओ कि क्या चित्र {n} और {m} की आकृति एक ही है।"),
    ),
    "same_colour": Split(
        (
            "क्या चित्र {n} और चित्र {m} में एक ही रंग है?",
            "क्या चित्र {n} और {m} का रंग एक जैसा है?",
            "क्या तस्वीर {n} और तस्वीर {m} में रंग एक जैसा है?",
            "क्या तस्वीर {n} और {m} की चीज़ों का रंग एक ही है?",
        ),
        ("क्या तस्वीर {n} और {m} में एक ही रंग दिखता है?", "बताओ कि क्या चित्र {n} और {m} का रंग एक ही है।"),
    ),
    "odd": Split(
        (
            "कौन सा चित्र बाकी से अलग है?",
            "कौन सी तस्वीर बाकी से अलग है?",
            "कौन सी तस्वीर सबसे अलग है?",
            "कौन सा चित्र दूसरों से मेल नहीं खाता?",
        ),
        ("कौन सी तस्वीर दूसरों से अलग है?", "बताओ कि कौन सा चित्र बाकी से मेल नहीं खाता।"),
    ),
    "digit": Split(
        (
            "{where}कौन सा अंक है?",
            "{where}कौन सा अंक लिखा है?",
            "{image} में कौन सा अंक दिखता है?",
            "आपको {where}कौन सा अंक दिख रहा है?",
            "{where}लिखा हुआ अंक पढ़ो।",
        ),
        ("क्या आप {where}लिखा हुआ अंक पढ़ सकते हैं?", "बताओ कि {where}कौन सा अंक है।"),
    ),
    "describe": Split(
        (
            "{image} का वर्णन करो।",
            "{image} में क्या है?",
            "{image} में क्या-क्या है?",
            "{where}क्या दिखता है?",
            "आपको {where}क्या दिख रहा है?",
            "क्या आप {image} का वर्णन कर सकते हैं?",
        ),
        ("कृपया {image} का वर्णन कीजिए।", "बताओ कि {image} में क्या है।", "{where}क्या-क्या दिख रहा है?"),
    ),
    "exist": Split(
        (
            "क्या {image} में {thing:direct} है?",
            "क्या {where}कोई {thing:direct} है?",
            "{image} में कोई {thing:direct} है क्या?",
            "क्या आपको {where}कोई {thing:direct} {thing:दिखता} है?",
            "बताओ कि क्या {where}कोई {thing:direct} है।",
        ),
        ("क्या {image} में कहीं {thing:direct} {thing:दिखता} है?", "क्या आप {where}कोई {thing:direct} देख सकते हैं?"),
    ),
    "elsewhere": Split(
        ("और {image} में?", "अब {image} में?", "अच्छा, और {image} में?", "{image} में भी बताओ।"),
        ("और अब {image} में?", "अच्छा, {image} में?"),
    ),
    "another": Split(
        (
            "और {thing:direct}?",
            "अच्छा, और {thing:direct}?",
            "और {thing:oblique} के बारे में?",
            "अब {thing:oblique} के बारे में बताओ।",
        ),
        ("और अब {thing:direct}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}।",
    "shape": "{thing:shape}।",
    "big": "{thing:बड़ा}।",
    "small": "{thing:छोटा}।",
    "left": "बाईं ओर।", "right": "दाईं ओर।",
    "top": "ऊपर।", "bottom": "नीचे।",
    "relation_yes": "हाँ।", "relation_no": "नहीं।",
    "exist_yes": "हाँ।", "exist_no": "नहीं।",
    "same_yes": "हाँ।", "same_no": "नहीं।",
    "none": "ऐसा कुछ नहीं है।",
    "number": "{n}।",
    "image": "चित्र {n}।",
    "item": "{thing:one}",
}  # fmt: skip

CHAT = {
    "greeting": (
        Split(("नमस्ते", "नमस्ते!", "नमस्कार", "हैलो", "हैलो!", "हाय", "सुप्रभात", "शुभ संध्या!"), ("हैलो जी", "नमस्ते जी")),
        "नमस्ते! मुझे कोई तस्वीर दिखाइए और उसके बारे में पूछिए।",
    ),
    "how_are_you": (
        Split(("आप कैसे हैं?", "तुम कैसे हो?", "क्या हाल है?", "आज आप कैसे हैं?"), ("नमस्ते, आप कैसे हैं?", "आज क्या हाल है?")),
        "मैं ठीक हूँ, धन्यवाद।",
    ),
    "who": (
        Split(
            (
                "आप कौन हैं?",
                "तुम कौन हो?",
                "आपका नाम क्या है?",
                "बताओ कि तुम कौन हो।",
                "क्या आप Llama 4 हैं?",
                "आप कौन सा मॉडल हैं?",
            ),
            ("नमस्ते, आप कौन हैं?", "क्या आप बता सकते हैं कि आप कौन हैं?"),
        ),
        "मैं सिखाने के लिए बना एक बहुत छोटा मॉडल हूँ, जिसकी बनावट Llama 4 जैसी है।",
    ),
    "abilities": (
        Split(
            (
                "आप क्या कर सकते हैं?",
                "मैं आपसे क्या पूछ सकता हूँ?",
                "आप मेरी क्या मदद कर सकते हैं?",
                "मदद",
                "आप क्या जानते हैं?",
                "बताओ कि तुम क्या कर सकते हो।",
            ),
            ("क्या आप बता सकते हैं कि आप क्या कर सकते हैं?", "मैं क्या पूछ सकती हूँ?"),
        ),
        "मैं तस्वीरों में आकृतियाँ पहचान और गिन सकता हूँ और उनकी तुलना कर सकता हूँ।",
    ),
    "thanks": (
        Split(
            ("धन्यवाद", "धन्यवाद!", "शुक्रिया", "बहुत-बहुत शुक्रिया।", "बढ़िया, धन्यवाद!"),
            ("बहुत-बहुत धन्यवाद!", "बढ़िया, शुक्रिया।"),
        ),
        "कोई बात नहीं।",
    ),
    "bye": (Split(("अलविदा", "अलविदा!", "बाय", "फिर मिलेंगे", "फिर मिलेंगे!"), ("बाय, फिर मिलेंगे!",)), "फिर मिलेंगे!"),
    "outside": (
        Split(
            (
                "फ़्रांस की राजधानी क्या है?",
                "एक चुटकुला सुनाओ।",
                "दो और दो कितने होते हैं?",
                "एक कविता लिखो।",
                "आज मौसम कैसा है?",
                "राष्ट्रपति कौन हैं?",
                "कितने बजे हैं?",
                "हैमलेट किसने लिखा?",
            ),
            ("इटली की राजधानी क्या है?", "मेरे लिए एक कहानी लिखो।", "बताओ कि कितने बजे हैं।"),
        ),
        "माफ़ कीजिए, मैं सिर्फ़ तस्वीरों में बनी आकृतियों के बारे में जानता हूँ।",
    ),
}

LANGUAGE = Language(
    code="hi",
    name="Hindi",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("चित्र {n}", "तस्वीर {n}", "फ़ोटो {n}"), ("चित्र नंबर {n}", "तस्वीर {n}")),
    only=Split(("चित्र", "तस्वीर", "इस चित्र", "इस तस्वीर"), ("इस फ़ोटो", "तस्वीर")),
    in_numbered=Split(("चित्र {n} में ", "तस्वीर {n} में ", "फ़ोटो {n} में "), ("चित्र नंबर {n} में ", "तस्वीर {n} में ")),
    in_only=Split(("", "चित्र में ", "तस्वीर में ", "इस तस्वीर में "), ("", "इस फ़ोटो में ", "तस्वीर में ")),
    answers=ANSWERS,
    separators=(", ", " और "),
    full_stop="।",
    chat=CHAT,
    no_picture="कृपया पहले मुझे कोई तस्वीर दिखाइए।",
    before=("अच्छा, ", "सुनिए, ", "ठीक है, ", "तो "),
)
