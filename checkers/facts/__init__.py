"""Static facts about a submission: what its code is, which of it runs, and where values come from.

``collect(submission, layers, logs)`` parses each layer once with ``ast`` and then *simulates* the entry
script: it runs the program on abstract values, in order, under the configuration that the logs and
commands show, following calls across closures, methods, lambdas, partials, dictionaries of
functions, ``getattr``, helper files and unpacked layers. Nothing is executed. The simulation leaves

* which statements run, which branch tests were decided and by which settings -> ``facts.reaches(node)``;
* the last abstract value of every evaluated node -> ``facts.value(node)``, ``facts.constant(node)``,
  ``facts.sources(node)``;
* who calls whom -> ``facts.callees(call)``, ``facts.callers(function)``;
* an ordered list of events (scores, charges, updates, saves, reports, ...) -> ``facts.events``.

For a checker::

    facts = subject.facts
    for module in facts.modules:                 # layer, tree, parents, scopes, calls, functions
        for call in module.calls:                    # every ast.Call of the layer, in source order
            if not (reach := facts.reaches(call)):   # falsy when the code does not run; .runs, .why
                continue
            facts.dotted(call.func)                  # "torch.nn.functional.cross_entropy": aliases resolved
            facts.constant(call.args[0])             # folded under the configuration, UNKNOWN if not
            facts.sources(call.args[0])              # {"val", "train", "score", "update", ...}: its sources
            facts.flow.sources(call.args[0])         # backward slice: every expression it may come from
            facts.place(call, "scored here")         # Location for a Finding
            reach.why                                # Finding.reach

A module whose layer could not be parsed has ``problem`` set and an empty tree (``facts.problems``);
a checker that needs it answers ``cannot_tell``. Names, comments and docstrings are never evidence.
"""

from checkers.facts.events import Did, Event
from checkers.facts.facts import Facts, Reach, Runs, collect
from checkers.facts.source import Binding, Module, Scope, arguments, dotted_name
from checkers.facts.values import UNKNOWN, Value

__all__ = [
    "UNKNOWN",
    "Binding",
    "Did",
    "Event",
    "Facts",
    "Module",
    "Reach",
    "Runs",
    "Scope",
    "Value",
    "arguments",
    "collect",
    "dotted_name",
]
