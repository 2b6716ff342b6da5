"""Whatever breaks and mends, in whatever order it is told: every subject is opened once and resolved once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation_contract.core.incidents.message import Kind, Notice
from reconciliation_contract.core.memory.memory import Incident
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.notifier.grouping import letters
from reconciliation_contract.notifier.ledger import Item
from tests.support.builders_core import CONTRACT
from tests.support.virtual_time import START

EVERYBODY = {f"shop-{n}" for n in range(9)}
FIVE = sorted(EVERYBODY)[:5]
MINUTE = timedelta(minutes=1)


class Fleet:
    """Contracts of one root cause, and one reader with what it was told."""

    def __init__(self) -> None:
        self.now = START
        self.items: list[Item] = []
        self.counts: dict[str, int] = {}
        self.storms: dict[str, str] = {}
        self.sent: list[Notice] = []
        self.lost: set[str] = set()
        """Messages that were sent, and forgotten by a crash: their reader knows them when they come again."""
        self.deleted = False

    def have(self, item: Item) -> int:
        return self.counts.get(item.id, 0)

    def storm(self, item: Item) -> str:
        return self.storms.get(item.id, "")

    def open(self, name: str) -> Item | None:
        return next((i for i in self.items if i.key[1] == name and not i.incident.closed_at), None)

    def go(self, step: str, names: list[str]) -> None:
        """Make one step of a story."""
        match step:
            case "flip" | "remind" | "delete":
                for name in names:
                    getattr(self, step)(name)
            case "crash":
                self.tell({*names}, crash=True)
                self.tell(EVERYBODY)
            case "tell":
                self.tell({*names})
            case "tell all":
                self.tell(EVERYBODY)
            case "forget":
                self.forget()

    def flip(self, name: str) -> None:
        """Break what is well, mend what is broken."""
        self.now += MINUTE
        item = self.open(name)
        if item is None:
            opened = Incident("Dependency/x", "D", "R", Severity.WARNING, self.now, "m", cause="x", count=1)
            contract = replace(CONTRACT, name=name, uid=name)
            self.items.append(Item((contract.namespace, name), contract, "", replace(opened, told_at=self.now)))
        else:
            self._change(item, closed_at=self.now)

    def remind(self, name: str) -> None:
        self.now += MINUTE
        if item := self.open(name):
            self._change(item)

    def delete(self, name: str) -> None:
        """Take a contract away, or its alerts."""
        self.items = [item for item in self.items if item.key[1] != name]
        self.deleted = True

    def is_left(self, subject: str) -> bool:
        """Whether anyone is left to end it: a contract that is gone says nothing more."""
        return not self.deleted or any(subject in (self.storm(item), item.id) for item in self.items)

    def _change(self, item: Item, **changes: object) -> None:
        newer = replace(item.incident, count=item.incident.count + 1, told_at=self.now, **changes)  # type: ignore[arg-type]
        self.items[self.items.index(item)] = replace(item, incident=newer)

    def tell(self, names: set[str], *, crash: bool = False) -> None:
        """Tell what is due of some; a crash has it sent and not remembered."""
        batch = [i for i in self.items if i.key[1] in names and self.have(i) < i.incident.count]
        for letter in list(letters(batch, self.items, self, gathers=True, by_namespace=False)):
            notices = [letter.notice] if letter.notice else []
            self.sent.extend(notice for notice in notices if notice.id not in self.lost)
            if crash:
                self.lost.update(notice.id for notice in notices)
            for item, count in () if crash else letter.told:
                self.counts[item.id] = count
                self.storms[item.id] = letter.storm

    def forget(self) -> None:
        """Forget what is over and told, as the status does after a while."""
        self.items = [i for i in self.items if not i.incident.closed_at or self.have(i) < i.incident.count]


NAMES = st.sampled_from(sorted(EVERYBODY))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.lists(NAMES, min_size=1, unique=True)),
        st.tuples(st.just("remind"), st.lists(NAMES, min_size=1, max_size=3, unique=True)),
        st.tuples(st.sampled_from(["tell", "crash", "delete"]), st.lists(NAMES, min_size=1, unique=True)),
        st.tuples(st.sampled_from(["tell all", "forget"]), st.just([])),
    ),
    max_size=25,
)


@settings(max_examples=300)
@given(STEPS)
@example([("flip", FIVE), ("tell all", []), ("flip", FIVE[:4]), ("tell all", []), ("delete", FIVE[4:])])
@example([("flip", FIVE), ("tell all", []), ("flip", FIVE[:4]), ("tell all", []), ("delete", FIVE[3:])])
def test_each_subject_is_opened_once_and_resolved_once(steps: list[tuple[str, list[str]]]) -> None:
    """Alone or in a storm, by trickle or at once, after crashes and with whatever is forgotten or deleted."""
    fleet = Fleet()
    for step, names in steps:
        fleet.go(step, names)
    for item in [item for item in fleet.items if not item.incident.closed_at]:
        fleet.flip(item.key[1])
    fleet.tell(EVERYBODY)

    told: defaultdict[str, list[Kind]] = defaultdict(list)
    for notice in fleet.sent:
        told[notice.subject].append(notice.kind)
    for subject, kinds in told.items():
        assert kinds[0] is Kind.OPENED
        assert kinds[-1] is Kind.RECOVERED or not fleet.is_left(subject)
        assert set(kinds[1:-1]) <= {Kind.REMINDED}
    assert all(fleet.have(item) == item.incident.count for item in fleet.items)
