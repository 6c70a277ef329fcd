"""The content type of an object that a file becomes, guessed from its name alone.

A fixed table: no mime.types of a system is read, so that two hosts do not differ. What the standard library has built
in, and over it the formats below. Sources: the media types that IANA registers
(https://www.iana.org/assignments/media-types/media-types.xhtml); for the x- ones, which nobody registered, Unidata
(netCDF), the HDF Group (HDF), and shared-mime-info (archives, notebooks).

A compressed file is what it is: `x.nc.gz` is application/gzip, and no content-encoding says otherwise. With one,
browsers and many libraries would hand out unpacked bytes, of another length and checksum than the object has.
"""

import mimetypes
from typing import Final

UNKNOWN: Final = "application/octet-stream"
"""RFC 2046, section 4.5.1: the type of bytes of which nothing more is known."""

FOLDER: Final = "application/x-directory"
"""Of folder markers, as the S3 console, s3fs and Hadoop write them."""

_FORMATS: Final = {
    "application/x-netcdf": "nc nc3 nc4 cdf",
    "application/grib": "grib grib1 grib2 grb grb1 grb2",
    "application/bufr": "bufr bfr",
    "application/x-hdf5": "h5 hdf5 he5",
    "application/x-hdf": "hdf hdf4 h4",
    "application/fits": "fits",
    "application/json": "json zarray zgroup zattrs zmetadata",
    "application/geo+json": "geojson",
    "application/x-ndjson": "ndjson jsonl",
    "application/x-ipynb+json": "ipynb",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "application/xml": "xml",
    "application/vnd.apache.parquet": "parquet geoparquet",
    "application/vnd.apache.arrow.file": "arrow feather",
    "application/vnd.apache.arrow.stream": "arrows",
    "application/geopackage+sqlite3": "gpkg",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/vnd.shp": "shp",
    "application/vnd.shx": "shx",
    "application/vnd.las": "las",
    "application/vnd.laszip": "laz",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "image/tiff": "tif tiff gtiff",
    "image/jp2": "jp2",
    "image/webp": "webp",
    "text/markdown": "md",
    "text/plain": "txt log",
    "text/csv": "csv",
    "text/javascript": "js mjs",
    "application/zip": "zip npz",
    "application/x-tar": "tar",
    "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2 tbz2",
    "application/x-xz": "xz txz",
    "application/zstd": "zst tzst",
    "application/x-lz4": "lz4",
    "application/x-compress": "z",
    "application/x-7z-compressed": "7z",
}


def _table() -> dict[str, str]:
    known = mimetypes.MimeTypes(filenames=()).types_map[True]
    types = {suffix.removeprefix("."): media_type for suffix, media_type in known.items()}
    types |= {suffix: media_type for media_type, suffixes in _FORMATS.items() for suffix in suffixes.split()}
    return types


_TYPE_OF: Final = _table()
"""Suffix in lower case, without its dot -> media type."""


def content_type_of(key: str) -> str:
    """By what follows the last dot of the key's last segment, in any case; UNKNOWN where that says nothing."""
    name = key.rpartition("/")[2]
    _, dot, suffix = name.rpartition(".")
    if dot:
        return _TYPE_OF.get(suffix.lower(), UNKNOWN)
    return UNKNOWN if name else FOLDER
