"""`lmjax reproduce`: run what was published, and say whether it came out."""

from pathlib import Path

from absl import flags

from lmjax.cli.flags import define_workdir, parse
from lmjax.errors import UserError, nearest

MISSED = 1
EXAMPLE = """lmjax reproduce ptb_kneser_ney5
         lmjax reproduce ptb_zaremba_small --seeds=3
         lmjax reproduce --list --tier=cpu --status=runnable"""


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code, which is not zero if a claim was missed."""
    values = parse(
        "reproduce",
        "run a published number's experiment with several seeds and say whether it came out; what "
        "was measured is kept in a file of its own, beside the claims",
        EXAMPLE,
        _define,
        arguments,
        bare="id",
    )
    if values is None:
        return 0
    if bool(values.id) + values.list + values.table != 1:
        raise UserError("give the id of a claim, --list or --table; --list shows all ids")
    if values.seeds < 1:
        raise UserError(f"--seeds is {values.seeds}; give 1 or more")
    claims = Path(values.claims)
    if not claims.is_file():
        raise UserError(
            f"there are no claims in {claims}; give --claims=FILE, or call it where lmjax's "
            "repository lies"
        )
    return _one(values, claims) if values.id else _all(values, claims)


def _all(values: flags.FlagValues, path: Path) -> int:
    from rich.console import Console

    from lmjax.studies.claim_results import read_result
    from lmjax.studies.claims import STATUSES, TIERS, load_claims
    from lmjax.studies.claims_table import list_table, write_readme

    claims = load_claims(path)
    if values.table:
        pairs = [(claim, read_result(path.parent / "results", claim)) for claim in claims]
        readme = path.parent.parent / "README.md"
        changed = write_readme(readme, pairs)
        print(f"{readme}: {'its table is new' if changed else 'nothing to change'}")
        return 0
    for name, known in (("tier", TIERS), ("status", STATUSES)):
        if (wanted := values[name].value) and wanted not in known:
            raise UserError(f"unknown --{name} {wanted!r}: {nearest(wanted, known)}")
        claims = [claim for claim in claims if wanted in ("", getattr(claim, name))]
    pairs = [(claim, read_result(path.parent / "results", claim)) for claim in claims]
    Console().print(list_table(pairs))
    print(f"{len(claims)} claims")
    return 0


def _one(values: flags.FlagValues, path: Path) -> int:
    from rich.console import Console

    from lmjax.studies.claim_results import read_result, verdict, write_result
    from lmjax.studies.claims import find_claim, load_claims
    from lmjax.studies.claims_table import one_table
    from lmjax.studies.reproduction import folder_of, reproduce, take_in

    console = Console()
    claim = find_claim(load_claims(path), values.id)
    results, root = path.parent / "results", path.parent.parent
    kept = read_result(results, claim)
    if claim.status != "runnable":
        console.print(one_table(claim, kept))
        if claim.command:
            print(f"nothing was run: {claim.id} is measured by `{claim.command}`")
        return 0
    if values["runs"].present and not values.runs:
        raise UserError("--runs is empty; give the folders of finished runs, DIR,DIR")
    if values.runs:
        new = take_in(claim, [Path(run) for run in values.runs], root, console)
    else:
        workdir = Path(values.workdir or Path("runs/reproduce") / folder_of(claim))
        new = reproduce(claim, values.seeds, workdir, root, console)
    result = kept.joined_with(new) if kept else new
    file = write_result(results, claim, result)
    console.print(one_table(claim, result))
    print(f"result: {file}")
    return MISSED if verdict(claim, result).startswith("missed") else 0


def _define(values: flags.FlagValues):
    flags.DEFINE_string(
        "id", "", "the claim, which may stand without --id= as well", flag_values=values
    )
    flags.DEFINE_boolean("list", False, "list the claims and their verdicts", flag_values=values)
    flags.DEFINE_string("tier", "", "list: cpu | gpu10 | gpu30 | big", flag_values=values)
    flags.DEFINE_string(
        "status",
        "",
        "list: runnable | 'by command' | needs | 'not reproducible' | infeasible",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "table", False, "put the table of what was measured into README.md", flag_values=values
    )
    flags.DEFINE_integer(
        "seeds",
        1,
        "run with the seeds from 0 on, so many; finished ones are skipped",
        flag_values=values,
    )
    define_workdir(
        values,
        "folder of the runs; if not given, runs/reproduce/ and the experiment, which claims share",
    )
    flags.DEFINE_list(
        "runs",
        [],
        "take in these finished runs of the experiment, DIR,DIR, and train none",
        flag_values=values,
    )
    flags.DEFINE_string(
        "claims", "experiments/claims.yaml", "the file of the claims", flag_values=values
    )
