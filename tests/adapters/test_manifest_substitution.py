"""Variables are replaced as Flux replaces them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.adapters.manifests.substitution import SubstitutionError, TooMuch, substitute

VALUES = {"name": "podinfo", "empty": "", "path": "a/b/c.tar.gz", "Word": "éa", "n": "3"}

REPLACED = {
    "${name}": "podinfo",
    "$name": "$name",
    "a ${name} b ${n}": "a podinfo b 3",
    "${unknown}": "",
    "$${name}": "${name}",
    "$$${name}": "$podinfo",
    "$$": "$",
    "100$": "100$",
    "${empty:=default}": "default",
    "${name:=default}": "podinfo",
    "${unknown:-default}": "default",
    "${unknown=default}": "default",
    "${unknown:?default}": "default",
    "${name:+other}": "podinfo",
    "${unknown:=a ${name} b}": "a podinfo b",
    "${unknown:=${empty:=${n}}}": "3",
    "${unknown:=}": "",
    "${#name}": "7",
    "${#Word}": "3",
    "${name^}": "Podinfo",
    "${name^^}": "PODINFO",
    "${Word,}": "éa",
    "${Word,,}": "éa",
    "${name:3}": "info",
    "${name:0:3}": "pod",
    "${name:3:99}": "info",
    "${name:99}": "",
    "${name:x}": "podinfo",
    "${name/o/0}": "p0dinfo",
    "${name//o/0}": "p0dinf0",
    "${name/o/}": "pdinfo",
    "${name/#pod/bread}": "breadinfo",
    "${name/%info/cast}": "podcast",
    "${name/#x/y}": "podinfo",
    "${path/\\//-}": "a-b/c.tar.gz",
    "${path#*/}": "b/c.tar.gz",
    "${path##*/}": "c.tar.gz",
    "${path%.*}": "a/b/c.tar",
    "${path%%.*}": "a/b/c",
    "${name#[op]}": "odinfo",
    "${name#[^p]}": "podinfo",
    "${name#?}": "odinfo",
    "${name#nothing}": "podinfo",
}

REFUSED = [
    "${",
    "${}",
    "${name",
    "${name-default}",
    "${name default}",
    "${ name}",
    "${name#}",
    "${name:}",
    "${name:=default",
    "${name/x}",
    "${!name}",
    "${name:5:${#empty}${n}",
]


@pytest.mark.parametrize(("text", "replaced"), REPLACED.items())
def test_each_operator_does_what_it_does_in_flux(text: str, replaced: str) -> None:
    """The table was made with Flux's own library."""
    assert substitute(text, VALUES) == replaced


@pytest.mark.parametrize("text", REFUSED)
def test_what_flux_refuses_is_refused(text: str) -> None:
    """Flux does not apply anything of such a revision."""
    with pytest.raises(SubstitutionError):
        substitute(text, VALUES)


@pytest.mark.parametrize("text", ["${unknown}", "${#unknown}", "${unknown^^}", "${unknown/a/b}"])
def test_strict_substitution_wants_every_variable(text: str) -> None:
    """It is named."""
    with pytest.raises(SubstitutionError, match="'unknown' is not set"):
        substitute(text, VALUES, strict=True)


@pytest.mark.parametrize("text", ["${unknown:=x}", "${unknown:-x}", "${unknown=x}", "${unknown:+x}", "${unknown:?x}"])
def test_strict_substitution_takes_defaults(text: str) -> None:
    """A default is as good as a value."""
    assert substitute(text, VALUES, strict=True) == "x"


@pytest.mark.parametrize("name", ["1st", "a-b", "a.b", "", "ä"])
def test_a_name_that_is_none_fails_everything(name: str) -> None:
    """Flux checks the names even of values that nothing uses."""
    with pytest.raises(SubstitutionError, match="is no name"):
        substitute("text", {name: "x"})


def test_no_message_holds_a_value() -> None:
    """Values may come from a Secret."""
    with pytest.raises(SubstitutionError) as caught:
        substitute("${name} ${broken", {"name": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["${v}" * 100, "${a:=" * 60 + "}" * 60])
def test_an_object_does_not_grow_without_bound(text: str) -> None:
    """Each value may be used any number of times, and a default may hold a default."""
    with pytest.raises(TooMuch):
        substitute(text, {"v": "x" * 1_000_000})


@given(st.text(alphabet="${}ab:=-#%/^,\\1 ", max_size=40))
def test_any_text_is_replaced_or_refused(text: str) -> None:
    """There is no third way, and it ends."""
    with contextlib.suppress(SubstitutionError):
        assert isinstance(substitute(text, {"a": "value", "b": ""}), str)
