"""Two workers for one picture in real browsers: what the page starts, sends and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("selenium", reason="needs pip install 'calotype[test]'")

from browser_site import visit

import calotype
from scripts.browsers import Browser

pytestmark = pytest.mark.slow  # 10 seconds together in each browser

PAGE = """const [cores, second, count, done] = arguments;
(async () => {
  const told = { workers: 0, ended: 0, tasks: 0, results: 0 };
  let aborting = null;
  const Native = Worker;
  Object.defineProperty(navigator, "hardwareConcurrency", { value: cores, configurable: true });
  const [later, clocks] = [setTimeout, []];
  window.setTimeout = (work, time, ...rest) =>
    time < 10000 ? later(work, time, ...rest) : -clocks.push(work);
  window.Worker = class extends Native {
    constructor(address, options) {
      if (++told.workers === 2 && second === "refused") throw new Error("no second worker");
      super(told.workers === 2 && second ? second : address, options);
    }
    postMessage(message, transferred) {
      if (message.task) told.tasks++;
      if (message.result) told.results++;
      super.postMessage(message, transferred);
      if (message.task) aborting?.abort();
    }
    terminate() {
      told.ended++;
      super.terminate();
    }
  };
  const { decode } = await import(`/calotype.js?${Math.random()}`);
  const data = await (await fetch("/256.calo")).arrayBuffer();
  const pictures = [];
  for (let index = 0; index < count && told.results === 0; index++) pictures.push((await decode(data)).data);
  const { workers } = told;
  if (told.results > 0) {
    aborting = new AbortController();
    const aborted = decode(data, { signal: aborting.signal });
    pictures.push(await aborted.then(({ data }) => data, () => pictures[0]));
    aborting = null;
    pictures.push((await decode(data)).data);
  }
  const [alone] = pictures;
  const differs = pictures.some((picture) => picture.some((value, k) => Math.abs(value - alone[k]) > 1));
  const together = await Promise.all(Array.from({ length: 12 }, () => decode(data, { network: "tiny" })));
  const ended = told.ended;
  clocks.at(-1)();
  const endedIdle = told.ended - ended;
  const after = (await decode(data, { network: "tiny" })).width;
  return { ...told, workers, endedIdle, differs, together: together.length, after };
})().then(done, (error) => done(String(error)));"""
"""Decodes a picture until a helper has computed a part of it, ``count`` times at most.

Then it is decoded once with a signal that aborts it when a helper has a task, once without, and 12 times at
once by the small network. Then the time passes after which workers end that have nothing to do, and another
picture is decoded.

``cores`` is the number of cores that the page believes in. ``second`` is the address of the second worker's
script; empty for the right one, "refused" for none.
"""


@pytest.fixture
def told(browser: Browser, site: Path) -> Any:
    """Calls the script above."""
    values = np.random.default_rng(4).integers(0, 256, (8, 8, 3), np.uint8)
    picture = Image.fromarray(values).resize((256, 256), Image.Resampling.BICUBIC)
    (site / "256.calo").write_bytes(calotype.encode(picture, quality=20, effort=1, scale=1))
    (site / "silent.js").write_text("onmessage = () => undefined;", "utf-8")
    (site / "failing.js").write_text("onmessage = () => { throw new Error('lost'); };", "utf-8")

    def call(cores: int, second: str, count: int) -> dict[str, Any]:
        visit(browser, site, "")
        answer = browser.execute_async_script(PAGE, cores, second, count)
        assert isinstance(answer, dict), answer
        assert not answer["differs"]
        assert (answer["together"], answer["after"]) == (12, 256)
        return answer

    return call


def test_a_second_worker_helps_and_ends_when_it_has_nothing_to_do(told: Any) -> None:
    """The helper loads the network beside the second picture, so that a later one is shared."""
    answer = told(cores=8, second="", count=20)
    assert answer["results"] > 0
    assert answer["workers"] == 2
    assert answer["endedIdle"] == 1


def test_a_single_core_gets_one_worker(told: Any) -> None:
    answer = told(cores=1, second="", count=2)
    assert (answer["workers"], answer["endedIdle"], answer["tasks"]) == (1, 0, 0)


@pytest.mark.parametrize("second", ["/missing.js", "refused", "/failing.js"])
def test_without_a_second_worker_the_first_decodes_everything(told: Any, second: str) -> None:
    answer = told(cores=2, second=second, count=3)
    assert answer["workers"] == 2
    assert answer["results"] == 0


def test_without_any_worker_decoding_is_an_error(browser: Browser, site: Path) -> None:
    visit(browser, site, "")
    answer = browser.execute_async_script("""
        const done = arguments[0];
        (async () => {
          window.Worker = class { constructor() { throw new Error("no worker"); } };
          const { decode } = await import(`/calotype.js?${Math.random()}`);
          const data = await (await fetch("/rgb-24x24.calo")).arrayBuffer();
          const codes = [1, 2].map(() => decode(data).then(() => "decoded", ({ code }) => code));
          return Promise.all(codes);
        })().then(done, (error) => done(String(error)));""")
    assert answer == ["ModelError", "ModelError"]
