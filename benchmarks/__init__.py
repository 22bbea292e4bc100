"""Quality and speed of Calotype against other codecs, run from a checkout (see ``README.md``).

::

    quality                                        calotype bench, on the Kodak pictures
    speed ── speed_worker ── taesd                 one fresh process for each measurement
    stable_diffusion ── stable_diffusion_worker    the same for Stable Diffusion at its real size
"""
