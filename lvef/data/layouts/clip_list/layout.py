"""A list of clips as a layout: a CSV file with a path and an EF a row."""

from __future__ import annotations

from pathlib import Path

from lvef.data.layouts.base import register
from lvef.data.layouts.clip_list.listed import Listed, ListedLayout
from lvef.data.layouts.clip_list.table import read_list
from lvef.data.layouts.clip_list.views import of_four_chamber
from lvef.data.layouts.folder import nothing_aside

FRACTION = "EF is written as a fraction of 1: taken times 100"


class ClipList(ListedLayout):
    """A CSV file with a path and an EF a row; see `read_list`.

    Of a list that states views, clips of others than the apical four-chamber view are left out.
    """

    name = "list"

    def recognises(self, root: Path) -> bool:
        """A list is a file, and no folder is one."""
        return False

    def list_files(self, root: Path) -> list[Path]:
        """Return the list."""
        return [root]

    def advice(self, root: Path) -> str:
        """Return what such a list holds."""
        return "Or give a CSV file with columns path and EF, a clip a row"

    def listed(self, root: Path) -> Listed:
        """Read the list; see `ListedLayout.listed`."""
        table, fraction = read_list(root, self.prepared(root).columns())
        notes = (FRACTION,) if fraction else ()
        if "view_true" not in table or not (table["view_true"] != "").any():
            return Listed(table.drop(columns="view_true", errors="ignore"), nothing_aside(), notes)
        kept, others = of_four_chamber(table, str(root))
        return Listed(kept.reset_index(drop=True), others, notes)


register(ClipList())
