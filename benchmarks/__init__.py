"""Quality and speed of Calotype against other codecs, run from a checkout (see ``README.md``).

::

    quality ─┬─ files ────┬─ scene ─┬─ recipe ── networks   one picture at a time, by every codec
             ├─ measures ─┘         └─ judges               metrics that no training saw
             ├─ ledger                                      what was measured, kept on disk
             └─ targets, tables, plots                      what is to be reached, and is it
    speed ── speed_worker ── networks                       one fresh process for each measurement
    stable_diffusion ── stable_diffusion_worker             the same for Stable Diffusion at its real size
"""
