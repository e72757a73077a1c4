"""What has to come from the distribution, and the line that installs it."""

import ctypes
import shutil

OLDEST = (1, 20)

_APT = (
    "sudo apt install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-tools"
    " gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
)
_DNF = (
    "sudo dnf install python3-gobject gstreamer1 gstreamer1-plugins-base gstreamer1-plugins-good"
    " gstreamer1-plugins-bad-free"
)


def install_line():
    """The command for this distribution, or for the two families that there are."""
    if shutil.which("apt-get"):
        return _APT
    if shutil.which("dnf"):
        return _DNF
    return f"{_APT} (Debian, Ubuntu) or {_DNF} (Fedora)"


def version_fault(version):
    """What is wrong with GStreamer of this version, (major, minor, micro, …); None: nothing."""
    if tuple(version[:2]) >= OLDEST:
        return None
    found = ".".join(str(number) for number in version[:3])
    wanted = ".".join(str(number) for number in OLDEST)
    return (
        f"GStreamer {found} is too old: depthanything needs {wanted} or newer, which Debian 12, Ubuntu 22.04 and Fedora 36"
        " have; GStreamer comes with the distribution, so this one has to be a newer release"
    )


def library_fault():
    """What is wrong with this machine's GStreamer; None: nothing."""
    try:
        library = ctypes.CDLL("libgstreamer-1.0.so.0")
        numbers = [ctypes.c_uint() for _ in range(4)]
        library.gst_version(*(ctypes.byref(number) for number in numbers))
    except (OSError, AttributeError) as error:
        return f"GStreamer is missing ({error}). It comes from the distribution, not from PyPI: {install_line()}"
    return version_fault([number.value for number in numbers])


def gstreamer():
    """The module `Gst`, initialised.

    Raises ImportError or RuntimeError with the line that helps.
    """
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as error:
        raise ImportError(
            f"GStreamer's bindings for Python are missing ({error}). They come from the distribution, not from PyPI: "
            f"{install_line()}. They are for the distribution's own python3; a virtual environment sees them when it is "
            "made by: /usr/bin/python3 -m venv --system-site-packages FOLDER"
        ) from error
    fault = version_fault(Gst.version())
    if fault:
        raise RuntimeError(fault)
    if not Gst.is_initialized():
        Gst.init(None)
    if Gst.ElementFactory.find("depthanything") is None:
        raise RuntimeError(
            "GStreamer does not load the plugin depthanything of this package: GST_DEBUG=2 tells why; a registry that was"
            " written while it was broken is forgotten with: rm -r ~/.cache/gstreamer-1.0"
        )
    return Gst
