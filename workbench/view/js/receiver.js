// Messages for a store, and questions for what is missing.

const ANSWER_PATIENCE = 5000; // ms until an unanswered question is asked again

/** Resolves to undefined when an answer is overdue. */
const overdue = () => new Promise((resolve) => setTimeout(resolve, ANSWER_PATIENCE).unref?.());

/** Asks a host for what a view lacks: one question at a time, and not again what got no answer. */
export function createAsker(store, request, changed) {
  let asked = false;
  let refused = "";
  return (question) => {
    const key = JSON.stringify(question);
    if (!question || asked || key === refused) return;
    asked = true;
    Promise.race([request(question), overdue()])
      .then((answer) => { if (answer) store.apply(answer); })
      .catch((error) => console.warn("trace view: could not fetch the attention", error))
      .finally(() => {
        asked = false;
        refused = store.answers(question) ? "" : key;
        changed();
      });
  };
}

/** Takes messages for a store and asks for what is missing; always chases the newest target. */
export function createReceiver(store, pull) {
  let target = null;
  let asking = false;
  const behind = () => target && (store.run !== target.run || store.settled < target.n);

  async function repair() {
    asking = true;
    try {
      while (behind()) {
        const { run } = target;
        const before = store.run === run ? store.settled : -1;
        const answer = await Promise.race([pull({ run, from: Math.max(before, 0) }), overdue()]);
        if (target.run !== run || answer === undefined) continue; // overtaken by a newer run, or overdue
        if (answer?.run === run) store.apply(answer);
        const after = store.run === run ? store.settled : -1;
        if (after <= before) return; // nothing came: the next message tries again
      }
    } catch (error) {
      console.warn("trace view: could not fetch the missing part", error);
    } finally {
      asking = false;
    }
  }

  return (message) => {
    if (!message) return;
    const status = store.apply(message);
    if (status !== "gap" && status !== "unknown") return;
    const last = message.op === "batch" ? message.items[message.items.length - 1] : message;
    const n = last.op === "end" ? last.n : last.settled;
    target = target?.run === last.run ? { run: last.run, n: Math.max(n, target.n) } : { run: last.run, n };
    if (!asking) repair();
  };
}
