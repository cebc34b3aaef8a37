"""Go's template language: the expected texts are those of Go 1.27's package text/template."""

import pytest

from lockstep.publishing import go_templates

ROWS = [{"Role": "user", "Content": "a"}, {"Role": "assistant", "Content": "{{ b }}"}]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ range .Messages }}<{{ .Role }}>\n{{ .Content }} {{ end }}.",
         "<user>\na <assistant>\n{{ b }} ."),
        ('{{ range .Messages }}{{ if eq .Role "user" }}U{{ else }}A{{ end }}{{ end }}', "UA"),
        ('{{ range $i, $_ := .Messages }}{{ $i }}{{ len (slice $.Messages $i) }} {{ end }}',
         "02 11 "),
        ('{{ $s := "" }}{{ range .Messages }}{{ $s }}{{ $s = .Role }}{{ end }}{{ $s }}',
         "userassistant"),
        ('{{ if eq .System "x" }}1{{ else if eq .System "y" "S" }}2{{ else }}3{{ end }}', "2"),
        ('{{ if and .System (not (eq 1 2)) }}yes{{ end }}', "yes"),
        ('{{ if or "" .None }}yes{{ else }}no{{ end }}', "no"),
        ('{{ if ne .System "S" }}yes{{ end }}{{ "a \\"b\\"\\n" }}', 'a "b"\n'),
    ],
)  # fmt: skip
def test_templates_are_rendered_as_by_go(template: str, text: str) -> None:
    values = {"System": "S", "Messages": ROWS, "None": ""}
    assert go_templates.render(template, values) == text


@pytest.mark.parametrize(
    "template", ["{{ if .A }}", "{{ end }}", "{{ .A | print }}", "{{ $b }}", "{{ print .A }}"]
)
def test_what_is_not_understood_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match=r"if \.A has no end|end without|unexpected|unknown word"):
        go_templates.render(template, {"A": 1})


def test_ollama_passes_the_system_messages_in_two_fields() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    template = "{{ .System }}|{{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}"
    assert go_templates.render_messages(template, messages) == "s|system=s;user=u;"
