"""A server for a test, what it serves, and the official client pointed at it by its public variables."""

import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile

PROGRAM = sys.argv.pop(1)
SHARED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data")

# The client keeps logs and downloads at home; a test leaves nothing there.
_home = tempfile.TemporaryDirectory(prefix="sim-home-")
os.environ["HOME"] = _home.name
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


class Server:
    """`ghtrader sim serve` on a free port, ended with the block."""

    def __init__(self, *flags, listen="127.0.0.1:0"):
        command = [PROGRAM, "sim", "serve", "--listen", listen, *map(str, flags)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.said())
        self.url = json.loads(line)
        self.use()

    def use(self):
        """Points the client at this server: the variables count when an object is made."""
        names = {"auth": "TQ_AUTH_URL", "md": "TQ_MD_URL", "td": "TQ_TD_URL"}
        names |= {"holidays": "TQ_CHINESE_HOLIDAY_URL", "contracts": "TQ_CONT_TABLE_URL"}
        os.environ.update({names[what]: url for what, url in self.url.items()})

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        said = self.said()
        self.log.close()
        assert code == 0, f"the server ended with {code}: {said}"


@contextlib.contextmanager
def client(account=None, user="demo", **options):
    """The official client, logged in."""
    from tqsdk import TqApi, TqAuth, TqSim

    api = TqApi(TqSim() if account is None else account, auth=TqAuth(user, "any"), disable_print=True, **options)
    try:
        yield api
    finally:
        api.close()


def cst(text):
    """Nanoseconds of a Shanghai time such as 2025-07-18 09:00:00.5."""
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    zone = datetime.timezone(datetime.timedelta(hours=8))
    whole = datetime.datetime.strptime(text, form).replace(tzinfo=zone)
    return int(whole.timestamp()) * 10**9 + whole.microsecond * 1000


def clock(ns):
    """2025-07-18 09:00:00.500000000 of nanoseconds."""
    zone = datetime.timezone(datetime.timedelta(hours=8))
    at = datetime.datetime.fromtimestamp(ns // 10**9, zone)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns % 10**9:09d}"


class Tape:
    """Ticks of one contract, written as a TqSdk file: a book of five levels around a price."""

    def __init__(self, symbol="SHFE.cu2509", tick=10, multiplier=5, oi=1000):
        self.symbol, self.tick, self.multiplier, self.oi = symbol, tick, multiplier, oi
        self.rows = []
        self.new_day()

    def new_day(self):
        self.volume, self.amount, self.high, self.low = 0, 0, None, None

    def row(self, time, bid, ask, bid_lots=5, ask_lots=5, last=None, traded=0, step=None):
        """One row; an empty side is None. `traded` lots at `last`, which is the bid unless given."""
        last = (bid if bid is not None else ask) if last is None else last
        self.volume += traded
        self.amount += traded * last * self.multiplier
        self.high = last if self.high is None else max(self.high, last)
        self.low = last if self.low is None else min(self.low, last)
        average = self.amount / self.volume / self.multiplier if self.volume else last
        step = self.tick if step is None else step
        cells = [last, self.high, self.low, average, self.volume, self.amount, self.oi]
        for level in range(5):
            cells += ["nan", 0] if bid is None else [bid - level * step, bid_lots]
            cells += ["nan", 0] if ask is None else [ask + level * step, ask_lots]
        ns = time if isinstance(time, int) else cst(time)
        self.rows.append((ns, cells))

    def run(self, time, count, bid=80000, ask=80010, **more):
        """Rows every half second; each trades a lot at the bid."""
        first = cst(time)
        for n in range(count):
            self.row(first + n * 500_000_000, bid, ask, **{"traded": 1, **more})

    def write(self, folder):
        names = ["last_price", "highest", "lowest", "average", "volume", "amount", "open_interest"]
        for level in range(1, 6):
            names += [f"bid_price{level}", f"bid_volume{level}", f"ask_price{level}", f"ask_volume{level}"]
        path = os.path.join(folder, f"{self.symbol}.csv")
        with open(path, "w") as file:
            file.write("datetime,datetime_nano," + ",".join(f"{self.symbol}.{n}" for n in names) + "\n")
            for ns, cells in self.rows:
                file.write(f"{clock(ns)},{ns}," + ",".join(map(str, cells)) + "\n")
        return path
