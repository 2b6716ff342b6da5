"""Values that the API server, a webhook or a tool repeats: left out of every text in the same way."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation_contract.core.values.text import bounded, cleaned

ECHOED: dict[str, tuple[str, str]] = {
    "a text": (
        'spec.containers[0].name: Invalid value: "s3cr3t": a lowercase RFC 1123 label must consist of',
        "spec.containers[0].name: Invalid value: ***: a lowercase RFC 1123 label must consist of",
    ),
    "a text with quotes": (
        r'metadata.labels: Invalid value: "a\"s3cr3t\": b": must be short',
        "metadata.labels: Invalid value: ***: must be short",
    ),
    "a text that was not quoted well": (
        'metadata.labels: Invalid value: "a": s3cr3t": must be short',
        "metadata.labels: Invalid value: ***: must be short",
    ),
    "a number": (
        "spec.replicas: Invalid value: -133: must be greater",
        "spec.replicas: Invalid value: ***: must be greater",
    ),
    "a mapping": (
        'spec.selector: Invalid value: {"matchLabels":{"app":"s3cr3t: x"}}: field is immutable',
        "spec.selector: Invalid value: ***: field is immutable",
    ),
    "a mapping as Go writes it": (
        "spec: Invalid value: core.EnvVar{Name:a, Value:s3cr3t}}: s3cr3t}: is wrong",
        "spec: Invalid value: ***: is wrong",
    ),
    "several": (
        'x is invalid: [a.b: Invalid value: "s3cr3t": too long, c[0]: Duplicate value: "s3cr3t", d: Required value]',
        "x is invalid: [a.b: Invalid value: ***: too long, c[0]: Duplicate value: ***, d: Required value]",
    ),
    "one that is not supported": (
        'spec.type: Unsupported value: "s3cr3t": supported values: "ClusterIP", "NodePort"',
        'spec.type: Unsupported value: ***: supported values: "ClusterIP", "NodePort"',
    ),
    "one that is not found": ('spec.volumes[0].name: Not found: "s3cr3t"', "spec.volumes[0].name: Not found: ***"),
    "one that is cut off": ('spec.type: Invalid value: "s3cr', "spec.type: Invalid value: ***"),
    "one of the wrong type": (
        '.data.a: expected string, got &value.valueUnstructured{Value:"s3cr3t"}',
        ".data.a: expected string, got ***",
    ),
    "a type alone": (".spec.replicas: expected numeric, got string", ".spec.replicas: expected numeric, got string"),
    "one of YAML": ("yaml: cannot unmarshal !!str `s3cr3t` into int", "yaml: cannot unmarshal !!str *** into int"),
    "one of JSON": ("json: cannot unmarshal number 1337 into Go", "json: cannot unmarshal number *** into Go"),
    "one that is parsed": (
        'strconv.ParseBool: parsing "s3cr3t": invalid syntax',
        "strconv.ParseBool: parsing ***: invalid syntax",
    ),
    "one that Python parses": (
        "invalid literal for int() with base 10: 's3cr3t'",
        "invalid literal for int() with base 10: ***",
    ),
    "a duration": ('time: invalid duration "s3cr3t"', "time: invalid duration ***"),
    "an object of kustomize": (
        "missing kind in object {{ } {{x } map[a:s3cr3t] map[]}}",
        "missing kind in object ***",
    ),
    "a patch of kustomize": (
        'unable to parse SM or JSON patch from [patch: "a: s3cr3t"]',
        "unable to parse SM or JSON patch from ***",
    ),
    "a webhook's": (
        'admission webhook "p.example.com" denied the request: image \'s3cr3t\' of "s3cr3t" isn\'t `s3cr3t` in <s3cr3t>',
        'admission webhook "p.example.com" denied the request: image *** of *** isn\'t *** in ***',
    ),
    "a webhook's, cut off": (
        'admission webhook "p" denied the request: "s3cr3t is we',
        'admission webhook "p" denied the request: ***',
    ),
    "a policy's": (
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: 's3cr3t' is weak",
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: *** is weak",
    ),
    "a CEL rule's": (
        'spec: Invalid value: "object": the host "s3cr3t" is taken',
        'spec: Invalid value: "object": the host *** is taken',
    ),
    "a schema's": (
        'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
    ),
    "a policy's, of a Secret": (
        'Secret/apps/db dry-run failed: admission webhook "p" denied the request: s3cr3t is weak',
        'Secret/apps/db dry-run failed: admission webhook "p" denied the request: ***',
    ),
    "a field named like a secret": ("spec.password: Required value: set it", "spec.password: Required value: set it"),
    "a password by its name": ("password: s3cr3t", "password: ***"),
    "a token by its name": ('{"token": "s3cr3t", "a": 1}', '{"token": "***", "a": 1}'),
    "a kubeconfig": (
        "users: - name: a user: client-key-data: czNjcjN0 token: s3cr3t",
        "users: - name: a user: client-key-data: *** token: ***",
    ),
    "a key": (
        "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----",
    ),
    "a key, cut off": ("-----BEGIN PRIVATE KEY-----\ns3cr3t", "-----BEGIN PRIVATE KEY-----***"),
    "a key of SOPS": ("bad AGE-SECRET-KEY-1S3CR3T here", "bad AGE-SECRET-KEY-*** here"),
    "a token by its form": ("sent ghp_s3cr3ts3cr3t to it", "sent ghp_*** to it"),
    "an address of a webhook": (
        "Post https://hooks.example.com/T0/s3cr3t: EOF",
        "Post https://hooks.example.com/*** EOF",
    ),
    "a proxy": (
        "proxyconnect tcp: http://ann:s3cr3t@proxy:3128: refused",
        "proxyconnect tcp: http://proxy:3128: refused",
    ),
}


@pytest.mark.parametrize("name", ECHOED)
def test_what_is_repeated_is_left_out(name: str) -> None:
    """The place and the complaint stay, the value goes."""
    text, expected = ECHOED[name]

    assert bounded(text) == expected
    assert "s3cr3t" not in expected.lower()
    assert bounded(expected) == expected


KEPT = [
    "spec.template.spec.containers[0].image: Required value",
    "spec.tls.secret: Forbidden: may not be set",
    "kubeconfig secret 'apps/kube' not found",
    'secrets "absent" not found',
    "the token expired at 12:00",
    "Deployment/apps/web status: 'InProgress'",
    'User "system:serviceaccount:apps:weak" cannot patch resource "configmaps" in API group ""',
    '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    '.spec.containers[name="web"].resource: field not declared in schema',
]


@pytest.mark.parametrize("text", KEPT)
def test_what_tells_the_cause_stays(text: str) -> None:
    """People need it, and so does the rule that decides on a rollback."""
    assert bounded(text) == text


@pytest.mark.parametrize(
    "said", ["denied the request: s3cr3t is weak", "denied request: s3cr3t", 'x: Invalid value: "object": s3cr3t']
)
def test_of_what_holds_secrets_no_policy_is_quoted(said: str) -> None:
    """Where values of Secrets were put in, a policy's author may repeat them bare."""
    assert "s3cr3t" not in cleaned(said, 300, private=True)


PIECES = st.sampled_from(
    [
        *(
            "Invalid value: ",
            "Duplicate value: ",
            "Not found: ",
            "got ",
            "denied request: ",
            'Invalid value: "object": ',
        ),
        *(
            '"',
            "'",
            "`",
            "{",
            "}",
            "[",
            "]",
            ": ",
            ", ",
            "\\",
            "<",
            ">",
            "*",
            "://",
            "@",
            "?",
            "=",
            "hook",
            "/",
            "a",
            " ",
        ),
        *(
            "password",
            "token: ",
            "Bearer ",
            "cannot unmarshal !!str ",
            "-----BEGIN PRIVATE KEY-----",
            "in object ",
            "eyJ",
        ),
    ]
)


@example(['Invalid value: "', '"', ": ", "Invalid value: "])
@given(st.lists(PIECES, max_size=24))
def test_a_second_filter_finds_nothing(pieces: list[str]) -> None:
    """However the places overlap, what was filtered once is not changed by the next that filters it."""
    once = cleaned("".join(pieces), 300)

    assert cleaned(once, 300) == once


@given(st.lists(PIECES, max_size=10), st.lists(PIECES, max_size=6))
def test_no_quoted_value_survives(before: list[str], after: list[str]) -> None:
    """Whatever stands around a value that the API server repeats, it is not shown."""
    text = f'{"".join(before)} x: Invalid value: "hunter2": {"".join(after)}'

    assert "hunter2" not in cleaned(text, 4096)
