"""Logs are appended, rotated within their bound, survive failures, and are read in order."""

import json
import resource
import stat
import threading
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.serving.logs import log_files
from lockstep.serving.logs.log_files import FILES, LogWriter, read_log

NAME = "requests.jsonl"


def write_numbers(writer: LogWriter, numbers: range) -> None:
    for number in numbers:
        assert writer.write({"number": number})


def read_numbers(folder: Path) -> list[int]:
    return [line["number"] for line in read_log(folder, NAME)]


def test_a_log_is_bounded_and_read_from_the_oldest_line_on(tmp_path: Path) -> None:
    write_numbers(LogWriter(tmp_path / NAME, 8 * 150), range(1000))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [NAME, *(f"{NAME}.{number}" for number in range(1, FILES))]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8 * 150
    numbers = read_numbers(tmp_path)
    assert numbers == list(range(numbers[0], 1000))
    assert len(numbers) >= 7 * (150 // len('{"number":999}\n'))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_each_line_is_on_disk_at_once_and_a_second_writer_continues(tmp_path: Path) -> None:
    write_numbers(LogWriter(tmp_path / NAME, 10_000), range(2))
    assert (tmp_path / NAME).read_text() == '{"number":0}\n{"number":1}\n'
    write_numbers(LogWriter(tmp_path / NAME, 10_000), range(2, 3))
    assert read_numbers(tmp_path) == [0, 1, 2]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / NAME, 8 * 100_000)
    threads = [
        threading.Thread(target=write_numbers, args=(writer, range(part, 1000, 4)))
        for part in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_numbers(tmp_path)) == list(range(1000))


def test_a_cut_line_is_skipped_with_a_note_and_spoils_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / NAME).write_text('{"number":0}\n{"numb')
    write_numbers(LogWriter(tmp_path / NAME, 10_000), range(1, 2))
    assert read_numbers(tmp_path) == [0, 1]
    assert capsys.readouterr().err == (
        f"note: {tmp_path}/{NAME}:2: not JSON; 1 cut line is skipped\n"
    )


def test_a_log_that_does_not_exist_has_no_lines_but_the_folder_must(tmp_path: Path) -> None:
    assert read_numbers(tmp_path) == []
    with pytest.raises(UserError, match=r"none: no such folder; give the one of serving\.log_"):
        read_numbers(tmp_path / "none")
    (tmp_path / NAME).write_text("[]\n")
    with pytest.raises(UserError, match=r"requests\.jsonl:1: no JSON object"):
        read_numbers(tmp_path)
    (tmp_path / NAME).rename(tmp_path / "old")
    (tmp_path / NAME).mkdir()
    with pytest.raises(UserError, match=r"requests\.jsonl: Is a directory; correct it, or copy"):
        read_numbers(tmp_path)


def test_a_rotation_while_the_files_are_opened_repeats_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path / NAME, 8 * 150)
    write_numbers(writer, range(30))
    opened = Path.open

    def open_and_rotate(path: Path, mode: str = "r") -> object:
        file = opened(path, mode)
        if path.name == NAME:  # the newest file, which is opened first, becomes NAME.1
            write_numbers(writer, range(30, 40))
        return file

    monkeypatch.setattr(log_files.Path, "open", open_and_rotate)
    numbers = read_numbers(tmp_path)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 30


def test_a_full_disk_is_reported_once_and_the_log_goes_on_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / NAME
    file.symlink_to("/dev/full")
    writer = LogWriter(file, 10_000)
    assert [writer.write({"answer": "secret"}) for _ in range(3)] == [False] * 3
    assert caplog.messages == [
        f"serve: {file}: No space left on device; lines are lost until this is corrected"
    ]
    file.unlink()
    write_numbers(writer, range(1))
    assert (read_numbers(tmp_path), writer.lost) == ([0], 3)
    file.unlink()
    file.symlink_to("/dev/full")
    assert not writer.write({})
    assert len(caplog.messages) == 2


def test_a_folder_that_vanished_is_reported_once_and_used_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    writer = LogWriter(folder / NAME, 10_000)
    write_numbers(writer, range(1))
    (folder / NAME).unlink()
    folder.rmdir()
    assert [writer.write({}), writer.write({})] == [False, False]
    assert [message.split(": ")[2] for message in caplog.messages] == [
        "No such file or directory; lines are lost until this is corrected"
    ]
    folder.mkdir()
    write_numbers(writer, range(1, 2))
    assert read_numbers(folder) == [1]


def test_a_line_that_is_larger_than_a_file_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = LogWriter(tmp_path / NAME, 8 * 100)
    assert not writer.write({"answer": "你" * 30})
    assert writer.write({"answer": "你" * 25})
    assert "a line of 104 bytes needs a larger serving.log_mib" in caplog.text
    assert "你" not in caplog.text


def test_a_line_is_json_in_utf_8(tmp_path: Path) -> None:
    LogWriter(tmp_path / NAME, 10_000).write({"answer": "你好\n"})
    assert json.loads((tmp_path / NAME).read_bytes()) == {"answer": "你好\n"}
    assert "你好" in (tmp_path / NAME).read_text(encoding="utf-8")


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_no_part_of_it(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / NAME, 80_000)
    line = {"answer": "a" * 86}  # 100 bytes with its quotes, braces and newline
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, limits[1]))
    try:
        assert [writer.write(line) for _ in range(3)] == [True, True, False]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / NAME).stat().st_size == 200
    assert writer.write(line)
    assert list(read_log(tmp_path, NAME)) == [line] * 3
