"""A list of clips with an EF each: key frames and splits are made once, and lie beside it.

`table` reads the list, `prepared` what was made of it, `layout` joins both. Key frames are found by
`lvef.predict.list_keyframes`, as no part of `lvef.data` knows a model.
"""
