"""An archive of clips as a stream: found, worked on by processes that may die, stored, merged.

`inputs` says which clips there are, `pool` keeps the processes, `work` is what one does to a
clip, `store` is what is known so far, `merge` makes tables of it, and `archive` is all together.
"""
