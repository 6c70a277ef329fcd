# fish completion of @PROGRAM@
function __@PROGRAM@_completion
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    @CALLED@ _complete fish -- $words "$current" 2>/dev/null </dev/null
end
complete -c @PROGRAM@ -f -k -a '(__@PROGRAM@_completion)'
