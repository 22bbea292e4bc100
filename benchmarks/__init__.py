"""Quality and speed of Calotype against other codecs, run from a checkout (see ``README.md``).

::

    quality ─┬─ files ────┬─ scene ─┬─ recipe ── networks   one picture at a time, by every codec
             ├─ measures ─┘         └─ judges               metrics that no training saw
             ├─ ledger                                      the figures measured so far, on disk
             └─ targets, tables, plots                      the targets, and whether they are met
    speed ── speed_worker ── networks                       one fresh process for each measurement
    stable_diffusion ── stable_diffusion_worker             the same for Stable Diffusion at its real size
"""
