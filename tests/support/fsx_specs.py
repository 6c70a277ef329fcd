"""Specifications of FSx file systems: plain ones to start from, and hypothesis's, valid by construction and spoilt."""

from typing import Any

from hypothesis import strategies as st

from headrace_daemon.fsx.spec.model import FileSystemSpec

SUBNET = "subnet-0123456789abcdef0"
ARN = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/fsx/lustre"

# written anew from the API reference, apart from the tables of the code: capacity's step, tier
_STEPS: dict[tuple[str, str], list[tuple[int, int | None]]] = {
    ("SCRATCH_1", "SSD"): [(3600, None)],
    ("SCRATCH_2", "SSD"): [(2400, None)],
    ("PERSISTENT_1", "SSD"): [(2400, 50), (2400, 100), (2400, 200)],
    ("PERSISTENT_1", "HDD"): [(6000, 12), (1800, 40)],
    ("PERSISTENT_2", "SSD"): [(2400, 125), (2400, 250), (2400, 500), (2400, 1000)],
    ("PERSISTENT_2", "INTELLIGENT_TIERING"): [(4000, None)],
}
_EFA_STEPS = {125: 38400, 250: 19200, 500: 9600, 1000: 4800}
_IOPS = [1500, 3000, 6000, *range(12000, 192_001, 12000)]
_EVENTS = ["NEW", "CHANGED", "DELETED"]


def plain(deployment: str, storage: str = "SSD", **changes: Any) -> dict[str, Any]:
    """The smallest valid one of its kind, with changes; a change to None takes a key away."""
    step, tier = _STEPS[deployment, storage][0]
    values: dict[str, Any] = {"subnet_ids": [SUBNET], "deployment_type": deployment, "storage_type": storage}
    if storage == "INTELLIGENT_TIERING":
        values["throughput_capacity"] = 4000
        values["metadata_configuration"] = {"mode": "USER_PROVISIONED", "iops": 6000}
        values["data_read_cache_configuration"] = {"sizing_mode": "NO_CACHE"}
    else:
        values["storage_capacity"] = step
        values["per_unit_storage_throughput"] = tier
        values["drive_cache_type"] = "NONE" if storage == "HDD" else None
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def spec_of(values: dict[str, Any]) -> FileSystemSpec:
    return FileSystemSpec.model_validate(values)


def _hex(prefix: str) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=8, max_size=17).map(lambda text: f"{prefix}-{text}")


_TAG = st.text(
    st.characters(categories=["L", "N", "Zs"], include_characters="_.:/=+-@"), min_size=1, max_size=12
).filter(lambda text: not text.lower().startswith("aws:") and text != "Name")
_TAGS = st.dictionaries(_TAG, _TAG, max_size=4)
_TIME = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
_WEEKLY = st.builds("{}:{}".format, st.integers(1, 7), _TIME)
_NID = st.builds("10.{}.[0-{}].1@tcp".format, st.integers(0, 255), st.integers(1, 9))
_CHUNK = st.integers(1, 512_000)
_SQUASH = st.one_of(
    st.just("0:0"), st.builds("{}:{}".format, st.integers(1, 4_294_967_294), st.integers(1, 4_294_967_294))
)
_POLICY = st.lists(st.sampled_from(_EVENTS), unique=True, max_size=3).map(lambda events: {"events": events})


@st.composite
def valid_values(draw: st.DrawFn) -> dict[str, Any]:
    """What AWS takes, deployment by deployment, as TOML holds it."""
    deployment, storage = draw(st.sampled_from(sorted(_STEPS)))
    persistent = deployment.startswith("PERSISTENT")
    values = plain(deployment, storage, name=draw(_TAG), subnet_ids=[draw(_hex("subnet"))], tags=draw(_TAGS))
    values |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "security_group_ids": st.lists(_hex("sg"), max_size=3),
                "data_compression_type": st.sampled_from(["NONE", "LZ4"]),
                "weekly_maintenance_start_time": _WEEKLY,
                "root_squash_configuration": st.fixed_dictionaries(
                    {}, optional={"root_squash": _SQUASH, "no_squash_nids": st.lists(_NID, max_size=3)}
                ),
                "timeouts": st.fixed_dictionaries({}, optional={"create": st.just("1h30m"), "delete": st.just("30m")}),
                "log_configuration": st.sampled_from(
                    [{"level": "DISABLED"}, {"level": "WARN_ERROR"}, {"level": "ERROR_ONLY", "destination": ARN}]
                ),
            },
        )
    )
    if storage == "INTELLIGENT_TIERING":
        values |= draw(_elastic())
    else:
        values |= draw(_sized(deployment, storage))
    version = draw(st.sampled_from(["2.10", "2.12", "2.15", None]))
    if (
        deployment != "PERSISTENT_2"
        or version == "2.15"
        or (version == "2.12" and "metadata_configuration" not in values)
    ):
        values["file_system_type_version"] = version
    if persistent and draw(st.booleans()):
        values["kms_key_id"] = "arn:aws:kms:us-west-2:123456789012:key/12345678"
    values |= draw(_repository_or_backups(deployment, storage, values.get("file_system_type_version")))
    return values


@st.composite
def _sized(draw: st.DrawFn, deployment: str, storage: str) -> dict[str, Any]:
    step, tier = draw(st.sampled_from(_STEPS[deployment, storage]))
    first = {"SCRATCH_1": [1200, 2400]}.get(deployment, [1200]) if storage == "SSD" else []
    found: dict[str, Any] = {"per_unit_storage_throughput": tier}
    found["storage_capacity"] = draw(st.sampled_from(first) | _multiple(step) if first else _multiple(step))
    if storage == "HDD":
        found["drive_cache_type"] = draw(st.sampled_from(["NONE", "READ"]))
    if deployment == "PERSISTENT_2" and draw(st.booleans()):
        automatic = st.just({"mode": "AUTOMATIC"})
        provisioned = st.sampled_from(_IOPS).map(lambda iops: {"mode": "USER_PROVISIONED", "iops": iops})
        found["metadata_configuration"] = draw(st.one_of(automatic, provisioned))
        if tier is not None and draw(st.booleans()):
            found |= {"efa_enabled": True, "storage_capacity": draw(_multiple(_EFA_STEPS[tier]))}
    return found


@st.composite
def _elastic(draw: st.DrawFn) -> dict[str, Any]:
    servers = draw(st.integers(1, 500))
    sized = st.integers(32 * servers, 131_072 * servers).map(
        lambda size: {"sizing_mode": "USER_PROVISIONED", "size": size}
    )
    others = st.sampled_from(["NO_CACHE", "PROPORTIONAL_TO_THROUGHPUT_CAPACITY"]).map(
        lambda mode: {"sizing_mode": mode}
    )
    return {
        "throughput_capacity": 4000 * servers,
        "data_read_cache_configuration": draw(st.one_of(sized, others)),
        "metadata_configuration": {"mode": "USER_PROVISIONED", "iops": draw(st.sampled_from([6000, 12000]))},
    }


@st.composite
def _repository_or_backups(draw: st.DrawFn, deployment: str, storage: str, version: str | None) -> dict[str, Any]:
    """A link to S3 of one kind or the other, or backups, or none of them."""
    choices = ["nothing"]
    linkable = version in ("2.12", "2.15") or (version is None and deployment == "PERSISTENT_2")
    if linkable and deployment != "SCRATCH_1" and storage != "INTELLIGENT_TIERING":
        choices.append("associations")
    if deployment != "PERSISTENT_2":
        choices.append("paths")
    if deployment.startswith("PERSISTENT"):
        choices.append("backups")
    chosen = draw(st.sampled_from(choices))
    if chosen == "associations":
        return {"data_repository_associations": draw(_associations())}
    if chosen == "paths":
        paths: dict[str, Any] = {"import_path": "s3://bucket/in", "imported_file_chunk_size": draw(_CHUNK)}
        paths["auto_import_policy"] = draw(st.sampled_from(["NONE", "NEW", "NEW_CHANGED", "NEW_CHANGED_DELETED"]))
        return paths | ({"export_path": "s3://bucket/out"} if draw(st.booleans()) else {})
    if chosen == "backups":
        kept = {"automatic_backup_retention_days": draw(st.integers(0, 90)), "skip_final_backup": draw(st.booleans())}
        return kept | {"daily_automatic_backup_start_time": draw(_TIME), "copy_tags_to_backups": draw(st.booleans())}
    return {}


@st.composite
def _associations(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 8))
    found = []
    for number in range(count):
        one: dict[str, Any] = {"file_system_path": f"/ns{number}", "data_repository_path": f"s3://bucket/p{number}/"}
        optional = {
            "imported_file_chunk_size": _CHUNK,
            "batch_import_meta_data_on_create": st.booleans(),
            "tags": _TAGS,
        }
        one |= draw(st.fixed_dictionaries({}, optional=optional))
        policies = {"auto_import_policy": _POLICY, "auto_export_policy": _POLICY}
        one["s3"] = draw(st.fixed_dictionaries({}, optional=policies))
        found.append(one)
    return found


def _multiple(step: int) -> st.SearchStrategy[int]:
    return st.integers(1, 40).map(lambda many: many * step)


_INTEGERS = st.one_of(st.integers(-1, 20_000), st.integers(), st.sampled_from([2**31, 2**31 - 1, 1200, 192_001]))
_TEXTS = st.one_of(
    st.text(max_size=8),
    st.text("0123456789:.s3/-\n\x85", max_size=12),
    st.sampled_from(
        ["0:1", "5:00", "8:05:00", "s3://", "s3://a", "x" * 5000, "/", "sg-", "2.10", "2.15", "10.0.0.1@tcp"]
    ),
)
_SPOILING: dict[str, st.SearchStrategy[Any]] = {
    "name": _TEXTS,
    "region": _TEXTS,
    "subnet_ids": st.lists(_TEXTS | _hex("subnet"), max_size=2),
    "security_group_ids": st.lists(_TEXTS | _hex("sg"), max_size=60),
    "deployment_type": st.sampled_from(["SCRATCH_1", "SCRATCH_2", "PERSISTENT_1", "PERSISTENT_2", None]),
    "storage_type": st.sampled_from(["SSD", "HDD", "INTELLIGENT_TIERING"]),
    "storage_capacity": _INTEGERS | st.none(),
    "per_unit_storage_throughput": _INTEGERS | st.none(),
    "throughput_capacity": _INTEGERS | st.none(),
    "file_system_type_version": _TEXTS,
    "drive_cache_type": st.sampled_from(["NONE", "READ", None]),
    "efa_enabled": st.booleans(),
    "metadata_configuration": st.fixed_dictionaries(
        {"mode": st.sampled_from(["AUTOMATIC", "USER_PROVISIONED"])}, optional={"iops": _INTEGERS}
    ),
    "data_read_cache_configuration": st.fixed_dictionaries(
        {"sizing_mode": st.sampled_from(["NO_CACHE", "USER_PROVISIONED"])}, optional={"size": _INTEGERS}
    ),
    "root_squash_configuration": st.fixed_dictionaries(
        {}, optional={"root_squash": _TEXTS, "no_squash_nids": st.lists(_TEXTS, max_size=70)}
    ),
    "log_configuration": st.fixed_dictionaries(
        {"level": st.sampled_from(["WARN_ONLY", "DISABLED"])},
        optional={"destination": _TEXTS.map(f"{ARN}{{}}".format) | _TEXTS},
    ),
    "kms_key_id": _TEXTS,
    "weekly_maintenance_start_time": _TEXTS,
    "automatic_backup_retention_days": _INTEGERS,
    "daily_automatic_backup_start_time": _TEXTS,
    "backup_id": _TEXTS | _hex("backup"),
    "import_path": _TEXTS,
    "export_path": _TEXTS,
    "imported_file_chunk_size": _INTEGERS,
    "tags": st.dictionaries(_TEXTS, _TEXTS, max_size=60),
    "data_repository_associations": st.lists(
        st.fixed_dictionaries(
            {
                "file_system_path": st.just("/ns1") | _TEXTS.map("/{}".format) | _TEXTS,
                "data_repository_path": st.just("s3://bucket/p/") | _TEXTS.map("s3://bucket{}".format) | _TEXTS,
            },
            optional={"imported_file_chunk_size": _INTEGERS, "tags": st.dictionaries(_TEXTS, _TEXTS, max_size=3)},
        ),
        min_size=1,
        max_size=2,
    ),
}


@st.composite
def spoilt_values(draw: st.DrawFn) -> dict[str, Any]:
    """Plain ones with some values that are anything of the right type: most of them are invalid, not all."""
    values = plain(*draw(st.sampled_from(sorted(_STEPS))), file_system_type_version="2.15")
    for field in draw(st.lists(st.sampled_from(sorted(_SPOILING)), min_size=1, max_size=2, unique=True)):
        values[field] = draw(_SPOILING[field])
    return values
