"""Quality and speed of Calotype against other codecs, run from a checkout (see ``README.md``).

::

    quality ─┬─ calotype bench                     codecs on the Kodak pictures
             ├─ measures ── scene ── taesd         the embedded model, one picture at a time
             │                └─ features
             └─ targets                            what is to be reached, and is it
    speed ── speed_worker ── taesd                 one fresh process for each measurement
    stable_diffusion ── stable_diffusion_worker    the same for Stable Diffusion at its real size
"""
