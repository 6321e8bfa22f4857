# Becomes the server, and leaves a guard that ends it when the program that wanted it is gone.
# Arguments: the signal that ends the server, the folder to remove then, the server's command.
#
# Standard input is a pipe that only the program holds. Each of its lines is a signal to pass on, or
# `release`, which sends the guard home. Its end means that the program has ended, in whatever way.
signal=$1 folder=$2
shift 2
exec 3<&0 </dev/null

guard() {
    while read -r line; do
        [ "$line" = release ] && exit
        kill -s "$line" $$
    done
    kill -s "$signal" $$
    tries=100
    while kill -s 0 $$ && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    kill -s KILL $$
    rm -rf "$folder"
}

# In a subshell that ends at once, so that the server has no child that it does not know.
(guard <&3 3<&- 2>/dev/null &)
exec "$@" 3<&-
