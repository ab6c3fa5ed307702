"""Manage the feature cache: the outputs of frozen stages, which runs keep and share.

Example:
    python tools/cache.py list
    python tools/cache.py prune --max-size 5GB --older-than 30d
    python tools/cache.py verify --fix
"""

from toolkit.commands import app


def main(args: app.Arguments) -> app.Outcome:
    """List, prune or verify."""
    from toolkit.commands import cache

    return cache.manage(args.action, args.dir, args.max_size, args.older_than, args.all, args.fix)


if __name__ == "__main__":
    parser = app.make_parser(__doc__)
    parser.add_argument("action", choices=("list", "prune", "verify"))
    parser.add_argument("--dir", type=app.Path, metavar="FOLDER", help="default: cache.dir of the configuration")
    parser.add_argument("--max-size", metavar="SIZE", help="prune: keep the most recently used up to this size (5GB)")
    parser.add_argument("--older-than", metavar="AGE", help="prune: remove features not used for this long (30d)")
    parser.add_argument("--all", action="store_true", help="prune: remove everything that no running process uses")
    parser.add_argument("--fix", action="store_true", help="verify: remove damaged features")
    app.run(parser, main, paddle=False)
