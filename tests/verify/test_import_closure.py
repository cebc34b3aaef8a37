"""The import closure of a stage contains every module that it imports."""

from pathlib import Path

from lockstep.verify import import_closure


def test_imports_are_found_in_every_form(tmp_path: Path) -> None:
    files = {
        "stages/a.py": "from stages import b\n"
        "from lockstep.cli import runner\n"
        "import stages.pages.c as c\nimport json\n",
        "stages/b.py": "def f():\n    from stages.pages import d\n",
        "lockstep/cli/runner.py": "import stages.e\n",
        "stages/e.py": "",
        "stages/pages/__init__.py": "",
        "stages/pages/c.py": "from .d import name\nfrom .. import b\n",
        "stages/pages/d.py": "name = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    closure = import_closure.find_closure("stages/a.py", tmp_path)
    assert closure == {"stages/a.py", "stages/b.py", "stages/pages/c.py", "stages/pages/d.py"}
