"""Clip files: a file a format, and one registry of them.

To read another kind of file, write a class that has what `ClipFormat` asks for and add it to
`FORMATS`; everything else (enumerating, key frames, analysis, overlays) follows.
"""

from lvef.data.formats.base import ClipFormat, ClipInfo, FrameRangeError
from lvef.data.formats.clip_file import ClipFile, clip_info, open_clip, read_frames, stream_frames
from lvef.data.formats.dicom.directory import dicomdir_files, is_dicomdir
from lvef.data.formats.dicom.file import error_name, is_dicom
from lvef.data.formats.dicom.identity import read_identity
from lvef.data.formats.dicom.study import OTHER as OTHER_VIEW
from lvef.data.formats.dicom.study import DicomStudy, dicom_study
from lvef.data.formats.nifti import read_label_map, require_nibabel
from lvef.data.formats.registry import CLIP_EXTENSIONS, FORMATS, format_of, is_clip
from lvef.data.formats.write import write_video

__all__ = [
    "CLIP_EXTENSIONS",
    "FORMATS",
    "OTHER_VIEW",
    "ClipFile",
    "ClipFormat",
    "ClipInfo",
    "DicomStudy",
    "FrameRangeError",
    "clip_info",
    "dicom_study",
    "dicomdir_files",
    "error_name",
    "format_of",
    "is_clip",
    "is_dicom",
    "is_dicomdir",
    "open_clip",
    "read_frames",
    "read_identity",
    "read_label_map",
    "require_nibabel",
    "stream_frames",
    "write_video",
]
