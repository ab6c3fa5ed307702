"""Show runs in VisualDL in the browser.

Example:
    python tools/dashboard.py runs/
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """Serve until Ctrl-C."""
    from toolkit.deploy import serve

    serve(app.run_folder(args.folder), host=args.host, port=args.port)
    return app.Outcome({})


if __name__ == "__main__":
    parser = app.make_parser(__doc__)
    parser.add_argument("folder", nargs="?", default="runs", help="a run's folder, or a folder of runs (default runs)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 allows access from other machines")
    parser.add_argument("--port", type=int, default=8040)
    app.run(parser, main)
