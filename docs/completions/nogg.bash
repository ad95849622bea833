# bash-completion loads this at the first TAB; `nogg completion bash` prints what it evaluates.
eval "$(_NOGG_COMPLETE=bash_source nogg)"
