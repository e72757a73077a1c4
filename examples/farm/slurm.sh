#!/usr/bin/env bash
# Depth of a film on a Slurm cluster, as four jobs that follow each other:
#
#     examples/farm/slurm.sh FILM OUT SHARDS [OPTION…]
#
# FILM and OUT are on a disk that all nodes have, the options those of depth_export. DEPTH_EXPORT names the program,
# SBATCH_… Slurm's own options (SBATCH_PARTITION, SBATCH_TIMELIMIT, …). Prints the number of the last job.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 FILM OUT SHARDS [OPTION…]" >&2
    exit 2
fi
film=$1 out=$2 shards=$3
shift 3
printf -v program '%q' "${DEPTH_EXPORT:-depth_export}"
printf -v arguments '%q ' "$film" "$out" "$@"

# The exit codes: 2 is in vain on each node, 130 and 143 were told to end. All else is worth another try.
# shellcheck disable=SC2016 # the variables are for the job's shell
again='code=$?
case $code in
    2 | 130 | 143) ;;
    *) [ "${SLURM_RESTART_COUNT:-0}" -ge 3 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" ;;
esac
exit $code'
part="srun $program $arguments--shard \$SLURM_ARRAY_TASK_ID/$shards || {
$again
}"
printf -v merge '%s merge %q' "$program" "$out"

# submit NAME DEPENDENCY OPTION… COMMAND
submit() {
    local name=$1 after=$2
    shift 2
    sbatch --parsable --requeue --job-name "depth-$name" ${after:+--dependency "afterok:$after" --kill-on-invalid-dep yes} \
        "${@:1:$#-1}" --wrap "${*: -1}"
}
# with --range locked, the default, the film is played twice: first for the range of each shot
ranges=$(submit ranges '' --array "1-$shards" "$part")
shots=$(submit shots "$ranges" "$merge")
frames=$(submit frames "$shots" --array "1-$shards" "$part")
submit merge "$frames" "$merge"
