# fish loads this at the first TAB; `nogg completion fish` prints what it evaluates.
_NOGG_COMPLETE=fish_source nogg | source
