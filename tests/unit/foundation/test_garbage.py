from __future__ import annotations

from tests.unit.warm import run_code


def test_a_process_of_ours_looks_for_garbage_seldom_and_not_at_its_end() -> None:
    code = (
        "import atexit, gc\nfrom include.evergreen.foundation.garbage import collect_seldom\n"
        "atexit._clear()\ngc.freeze = lambda: print('frozen')\ncollect_seldom()\ncollect_seldom()\nprint(gc.get_threshold()[0])\n"
        "atexit._run_exitfuncs()\nprint('ended')"
    )
    assert run_code(code).split() == ["50000", "frozen", "ended"]
