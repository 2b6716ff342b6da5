"""How long the operator itself waits, believes and remembers: every such time, with its reason.

What belongs to a contract lives in its spec, and how often Git is looked at is an option of the command line; nobody
has to set anything here. Tests shorten them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_MS: Final = timedelta(milliseconds=1)
_S: Final = timedelta(seconds=1)
_MIN: Final = timedelta(minutes=1)
_H: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """One time each, with a default; the same for all contracts."""

    # Passes

    routine: timedelta = 5 * _MIN
    """A contract is looked at this often, whatever happens."""
    retry: timedelta = 250 * _MS
    """Before a pass that failed is made again; doubled each time."""
    retry_longest: timedelta = 60 * _S
    """Between two such tries at most."""
    retry_awaited: timedelta = 8 * _S
    """The same where a person waits: for a right to be seen, or a deletion to end."""
    refusal_fresh: timedelta = 5 * _S
    """A refused act that is older says nothing of what would happen now."""
    deletion_patience: timedelta = 15 * _S
    """A deletion waits so long for an act that is refused at every try; an API server that is away refuses none."""
    afterwards: timedelta = 10 * _MS
    """From a due time to the look: a verdict turns just after its deadline."""
    pause_short: timedelta = 200 * _MS
    """A pause between two looks at one contract that is shorter is for what has to be done at once."""
    pause_forced_longest: timedelta = 60 * _S
    """A contract whose passes ask for each other without a pause is made to wait so long at most."""
    failing_act_told: timedelta = 8 * _S
    """What may pass by itself is told once an act has failed so long; a try lasts 20 s at most, so within 30 s."""
    loop_beat: timedelta = 1 * _S
    """Between two beats of the event loop, which say how late it is."""
    loop_starved: timedelta = 30 * _S
    """An event loop that has not run for so long is dead, and the operator is to be restarted."""

    # Clocks

    clock_skew: timedelta = 2 * _S
    """Clocks of committer, Git server and cluster may differ so much before a time stamp is disbelieved."""
    clock_set_back: timedelta = 1 * _MIN
    """A time of ours further ahead tells of a clock that was set back."""
    watch_lag: timedelta = 2 * _S
    """A watch event this close behind a one-second API time stamp gives the same moment, more precisely."""

    # What is known of the cluster

    resync: timedelta = 30 * _S
    """Between two comparisons of what is known with what exists."""
    resync_first: timedelta = 200 * _MS
    """The same until everything was seen once: nothing else can begin."""
    resync_without_flux: timedelta = 5 * _S
    """The same while Flux is not installed: somebody waits for it to be noticed."""
    resync_grace: timedelta = 5 * _S
    """For a watch to bring what a list has shown; then it is read, and a watch that is silent begins anew."""
    resync_filling: timedelta = _MIN
    """From the start on, for the watches alone to bring everything; then the list does."""
    watch_handover: timedelta = _S
    """For a watch to end before it begins anew."""
    stale_after: timedelta = 90 * _S
    """Where nothing could be compared for so long, facts are too old to act on. Three comparisons fit in."""
    late_kinds: timedelta = 5 * _S
    """Between two looks for kinds of Flux that were installed after the start, and for watches that are stuck."""
    discovery_believed: timedelta = 10 * _MIN
    """What the API server serves is believed so long."""
    discovery_missed: timedelta = 5 * _S
    """A kind that was not there is believed to be absent so long: a CRD may have come."""

    # Observers

    restart: timedelta = 15 * _S
    """Before work that broke through a fault of ours is begun anew; doubled each time."""
    restart_longest: timedelta = 5 * _MIN
    """The same at most."""
    git_pause_longest: timedelta = 5 * _MIN
    """Between two looks at a repository that does not answer."""
    environment: timedelta = 15 * _S
    """Between two looks at Flux's controllers, at Receivers and at rights."""
    right_believed: timedelta = 5 * _MIN
    """A right that was there is believed to be so long: each question is a request."""
    right_missed: timedelta = 10 * _S
    """A right that was lacking is believed to be so long: whoever grants it watches the status."""
    workload_poll: timedelta = 2 * _S
    """Between two looks at workloads that there are too many of to watch."""
    workload_retry: timedelta = 1 * _S
    """Before a request about workloads that failed is made again."""
    pruning: timedelta = 1 * _S
    """Between the first two rounds of looks at what is to be gone; later ones are spaced out."""
    pruning_longest: timedelta = 15 * _S
    """The same at most."""
    pruning_turn: timedelta = 40 * _MS
    """A look at what is to be gone lasts so long at least: 100 looks a second, four at a time."""
    young_object: timedelta = 20 * _S
    """An object in no inventory is no orphan until then: Flux writes the inventory after the objects."""

    # Trying and comparing manifests

    manifests_retry: timedelta = 30 * _S
    """Before the next try where the API server did not answer, or Flux was at work."""
    comparison_believed: timedelta = 10 * _MIN
    """A comparison that is older is not believed, unless two intervals are longer."""
    comparison_drifted: timedelta = 1 * _MIN
    """Between two comparisons at most while there is drift, so that its end is noticed."""
    comparison_troubled: timedelta = 5 * _MIN
    """The same while something cannot be compared."""
    comparison_limit: timedelta = 30 * _S
    """Of one request of a comparison."""
    scan_round: timedelta = 15 * _S
    """Between two rounds of scans of metadata at least."""
    scan_request: timedelta = 500 * _MS
    """After each request of a scan: it must not be felt by the API server."""
    dry_run_prompt: timedelta = 2 * _S
    """A dry-run that lasts longer waits for a webhook, no work of the API server's: others go on beside it."""
    dry_run_asked_wait: timedelta = 30 * _S
    """Waited at most where the API server asks for it."""
    dry_run_webhooks: timedelta = 2 * _MIN
    """Waited for webhooks at most over all manifests of a revision; the others are not tried."""

    # Rollbacks

    brake_window: timedelta = 15 * _MIN
    """Failures that began within this time of each other count as one event, and so do rollbacks."""
    brake_recheck: timedelta = 30 * _S
    """Between two looks at whether the fleet's brake is on, or off again."""
    slow_switch: timedelta = 10 * _S
    """A good revision that Flux takes up later than this is told to have waited."""
    correction_wanted: timedelta = 5 * _MIN
    """A correction of drift that could not be asked for by then is given up; the next comparison decides anew."""
    correction_spacing_longest: timedelta = 1 * _H
    """Between two requests to correct what comes back, unless the contract's interval is longer."""

    # Incidents

    dependency_patience: timedelta = 5 * _MIN
    """A dependency may fail so long before people hear of it although nothing was broken by it."""
    absence_patience: timedelta = 1 * _MIN
    """What is to be followed must be gone so long: objects are created in any order."""
    recovery_hold: timedelta = 1 * _MIN
    """All must be well so long before an incident counts as over; doubled with every relapse."""
    recovery_hold_longest: timedelta = 1 * _H
    """The same at most."""
    relapse_window: timedelta = 1 * _H
    """An incident that comes back so soon after its end is a relapse."""
    sink_patience: timedelta = 1 * _DAY
    """A sink that does not answer is waited for so long after the end, or a group of incidents that goes on."""
    unclear_patience: timedelta = 1 * _DAY
    """It may be unclear so long whether all is well; then it is given up."""
    milestone_news: timedelta = 1 * _DAY
    """What is older is not announced: a sink that is set today does not hear of last month."""

    # Notifications

    grouping: timedelta = 5 * _S
    """In which messages of the same root cause are gathered."""
    replica_wait: timedelta = 20 * _S
    """In which another replica, or this one before a crash, may still say that it has sent a message."""
    group_orphaned: timedelta = 5 * _MIN
    """After which a group is looked at that perhaps nobody else ends, since its last open contract was deleted. After
    a start all contracts have been looked at by then."""
    settling: timedelta = 20 * _S
    """After a start nothing is sent: what other contracts say of the same cause must be known first."""
    sink_retry: timedelta = 1 * _S
    """Between the first two tries of a sink that fails; doubled each time."""
    sink_retry_longest: timedelta = 5 * _MIN
    """The same at most."""
    sink_limit: timedelta = 15 * _S
    """Of one request to a sink."""
    chat_limit: timedelta = 30 * _S
    """Of one message by Apprise, whose services may be slow."""
    alert_repeat: timedelta = 1 * _MIN
    """Between two messages about the same open alert: Alertmanager forgets what nobody repeats."""
    alert_lasts: timedelta = 5 * _MIN
    """After which Alertmanager takes an alert for over that nobody repeats."""

    # Requests

    api_limit: timedelta = 20 * _S
    """Of one request to the API server. A webhook may hold up a write for 30: that is told before."""
    api_connect: timedelta = 5 * _S
    """Of its connection."""
    api_silence: timedelta = 90 * _S
    """A watch that brings nothing for so long is dead: a live one brings a bookmark a minute at least."""
    reader_believed: timedelta = 1 * _MIN
    """That somebody may read metrics is believed so long: each question is two requests."""
    reader_grace: timedelta = 10 * _MIN
    """The same while the API server does not answer: then metrics are needed most."""
    traces_limit: timedelta = 5 * _S
    """Of one batch of traces."""


TIMING: Final = Timing()
"""The times of an operator in use."""
