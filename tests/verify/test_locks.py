"""Two versions of dvc.lock are compared entry by entry."""

from lockstep.verify import locks


def test_lock_differences_name_command_parameter_and_path() -> None:
    first = {
        "train": {
            "cmd": "a",
            "deps": [{"path": "x", "hash": "md5", "md5": "1"}],
            "params": {"params.yaml": {"seed": 1, "train": {"epochs": 2}}},
            "outs": [{"path": "y", "hash": "md5", "md5": "2"}],
        },
        "old": {"cmd": "o"},
    }
    second = {
        "train": {
            "cmd": "b",
            "deps": [{"path": "x", "hash": "md5", "md5": "3"}],
            "params": {"params.yaml": {"seed": 1, "train": {"epochs": 3}}},
            "outs": [{"path": "y", "hash": "md5", "md5": "2"}],
        },
        "new": {"cmd": "n"},
    }
    differences = [(d.stage, d.kind, d.path) for d in locks.compare_locks(first, second)]
    assert differences == [
        ("train", "cmd", ""),
        ("train", "params", "train"),
        ("train", "dep", "x"),
        ("old", "stage", ""),
        ("new", "stage", ""),
    ]
    assert not list(locks.compare_locks(first, first))
