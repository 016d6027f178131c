"""The disk's layout, as numbers: nothing overlaps, everything is aligned, identities hang on name and version."""

from image.layout import HEAD, MIB, TAIL, PartitionType, plan, root_size_for


def test_partitions_follow_each_other_and_leave_room_for_both_tables() -> None:
    layout = plan("mudroom-1", 700 * MIB + 1)
    position = HEAD
    for number, partition in enumerate(layout.partitions, start=1):
        assert (partition.number, partition.start) == (number, position)
        assert partition.size % MIB == 0
        position += partition.size
    assert layout.size == position + TAIL
    assert layout.root.size == 701 * MIB
    assert layout.partitions[-1] is layout.root  # so that it can grow


def test_windows_shows_the_settings_partition() -> None:
    layout = plan("mudroom-1", MIB)
    assert (layout.settings.kind, layout.settings.name) == (PartitionType.BASIC_DATA, "MUDROOM")


def test_identities_repeat_for_one_version_and_differ_between_versions() -> None:
    one, again, newer = plan("mudroom-1", MIB), plan("mudroom-1", MIB), plan("mudroom-2", MIB)
    assert one == again
    assert not {p.guid for p in one.partitions} & {p.guid for p in newer.partitions}
    assert len({one.identity, one.root_fs, one.directory_hash, *(p.guid for p in one.partitions)}) == 7


def test_root_has_room_for_its_first_hours() -> None:
    for content in (1, 400 * MIB, 1000 * MIB):
        size = root_size_for(content)
        assert size >= content + 256 * MIB
        assert size % (64 * MIB) == 0
