"""Guards: what a question or an answer is judged by before it goes on.

    from workbench import guards

    rules = guards.Rules.built_in()                               # or guards.Rules.from_file("mine.toml")
    rules.judge_input([{"role": "user", "content": "hello"}])     # Verdict(unsafe=False, categories=())

    llama_guard = guards.RemoteGuard("http://localhost:8000/v1", "meta-llama/Llama-Guard-4-12B")
    policy = guards.Policy(llama_guard, mode="block", fails="closed")
    finding = policy.output(messages, reply.text)                 # finding.stopped, finding.sentence
    watch = guards.Watch(policy, messages)                        # for an answer that is still growing

A `Guard` says what is unsafe, a `Policy` what follows from it, a `Watch` how much of a growing answer may be
shown. No guard sees everything: one lowers a risk, it does not end it.
"""

from workbench.guards.guard import Category, Guard, GuardError, Verdict
from workbench.guards.policy import Finding, Policy
from workbench.guards.remote import RemoteGuard
from workbench.guards.rules import Rules, RulesError
from workbench.guards.watch import Watch

__all__ = [
    "Category",
    "Finding",
    "Guard",
    "GuardError",
    "Policy",
    "RemoteGuard",
    "Rules",
    "RulesError",
    "Verdict",
    "Watch",
]
