"""Write the report on the best epoch of a run, finished or stopped.

Example:
    python tools/report.py runs/cub200
    python tools/report.py runs/cub200 -o data.root=/where/the/images/are/now
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Write report.html into the run's folder."""
    from toolkit.commands import runs

    return runs.report(runs.find_run(args.run, args.config, args.overrides))


if __name__ == "__main__":
    parser = app.make_parser(__doc__, config=True)
    parser.add_argument("run", nargs="?", type=app.Path, metavar="RUN", help="the run's folder (or -c RUN/config.yaml)")
    app.run(parser, main)
