"""Memory and time of a video, frame by frame.

    python benchmarks/video.py clip.mp4 painting.jpg out.mp4 [options of urst stylize]

Runs ``urst stylize`` in a process of its own, and prints its memory at tenths of the clip, seconds
per frame, and whether the sound and the times of all frames are the clip's.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil

from urst_core.formats.clip import Clip, opened_clip
from urst_core.runs.segments import count_frames
from urst_core.runs.work_folder import WorkFolder


def sound_of(path: Path) -> list[bytes]:
    with opened_clip(path) as clip:
        return [bytes(packet) for packet in clip.demux(audio=0) if packet.size]


def times_of(path: Path) -> list[float]:
    with opened_clip(path) as clip:
        return [float(frame.pts * frame.time_base) for frame in clip.decode(video=0)]


def main() -> None:
    clip, painting, output, *options = sys.argv[1:]
    command = [sys.executable, "-m", "urst_core", "stylize", clip, painting, "-o", output]
    frames = Clip.open(Path(clip)).count
    folder = WorkFolder(Path(output)).path
    started, told = time.monotonic(), -1
    run = psutil.Popen([*command, "--quiet", *options])
    with run:
        while run.poll() is None:
            done = count_frames(folder) if folder.is_dir() else 0
            if done * 10 // frames > told:
                told = done * 10 // frames
                megabytes = run.memory_info().rss / 1e6
                print(f"{done:5} frames  {time.monotonic() - started:7.1f} s  {megabytes:6.0f} MB")
            time.sleep(0.5)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command)
    seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (used.ru_utime + used.ru_stime) / frames
    print(f"{seconds / frames:.2f} s a frame, {cpu:.2f} s of CPU time")
    print(f"at most {used.ru_maxrss / 1e3:.0f} MB")
    print("sound identical:", sound_of(Path(clip)) == sound_of(Path(output)))
    print("times identical:", times_of(Path(clip)) == times_of(Path(output)))


if __name__ == "__main__":
    main()
