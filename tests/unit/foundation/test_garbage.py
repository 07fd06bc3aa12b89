from __future__ import annotations

from tests.unit.warm import run_code


def test_a_process_of_ours_looks_for_garbage_seldom_and_not_at_its_end() -> None:
    code = (
        "import atexit, gc\nfrom include.evergreen.foundation.garbage import collect_seldom\ngc.unfreeze()\ngc.set_threshold(700, 10, 10)\n"
        "atexit._clear()\ncollect_seldom()\ncollect_seldom()\nprint(gc.get_threshold()[0], atexit._ncallbacks(), gc.get_freeze_count())\n"
        "atexit._run_exitfuncs()\nprint(gc.get_freeze_count() > 10_000)"
    )
    assert run_code(code).split() == ["50000", "1", "0", "True"]
