"""Market data to the unmodified official client: login, instruments, quotes, ticks, charts, downloads."""

import asyncio
import csv
import datetime
import json
import math
import os
import socket
import subprocess
import tempfile
import time
import unittest

from server import PROGRAM, SHARED, Server, Tape, client, cst

FROM, TO = datetime.datetime(2025, 7, 17, 18), datetime.datetime(2025, 7, 18, 18)


def tape(folder, rows=5000, symbol="SHFE.cu2509", **more):
    made = Tape(symbol, **more)
    made.row("2025-07-17 20:59:00.5", 79990, 80000, traded=3)
    for n in range(rows):
        price = 80000 + 10 * (n % 7)
        made.row(cst("2025-07-17 21:00:00.5") + n * 500_000_000, price, price + 10, traded=n % 3)
    return made, made.write(folder)


class MarketData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tape, cls.file = tape(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_login_calendar_and_main_contracts(self):
        """DS-02, DS-04: anybody logs in at once; calendar and main contracts are served."""
        with Server("--data", self.file, "--start", "end") as server:
            begun = time.monotonic()
            with client() as api:
                self.assertLess(time.monotonic() - begun, 5)
                # The token is renewed without a password.
                auth = api._auth
                before = auth._refresh_token
                auth._request_token({"grant_type": "refresh_token", "refresh_token": before})
                days = api.get_trading_calendar(datetime.date(2025, 9, 29), datetime.date(2025, 10, 10))
                open_days = [d.day for d, trading in zip(days.date, days.trading) if trading]
                self.assertEqual(open_days, [29, 30, 9, 10])
                main = api.query_his_cont_quotes("KQ.m@SHFE.cu", n=1)
                self.assertEqual(list(main["KQ.m@SHFE.cu"]), ["SHFE.cu2509"])
            import requests

            token = server.url["auth"] + "/auth/realms/shinnytech/protocol/openid-connect/token"
            for form, status in [
                ({"grant_type": "password", "username": ""}, 401),
                ({"grant_type": "refresh_token", "refresh_token": "x.y.z"}, 401),
                ({"grant_type": "magic"}, 400),
                ({}, 400),
            ]:
                answer = requests.post(token, data=form)
                self.assertEqual((answer.status_code, "error" in answer.json()), (status, True), form)

    def test_instruments(self):
        """DS-10, DS-11: queries by id, class, exchange, product, expiry; an unknown symbol raises at once."""
        with Server("--synthetic", 3, "--days", 1, "--rows-per-day", 1000, "--start", "end"):
            with client() as api:
                futures = api.query_quotes(ins_class="FUTURE", exchange_id="SHFE", product_id="cu", expired=False)
                self.assertGreater(len(futures), 2)
                self.assertTrue(all(s.startswith("SHFE.cu") for s in futures))
                self.assertEqual(list(api.query_quotes(ins_class="FUTURE", exchange_id="DCE")), [])
                self.assertEqual(list(api.query_quotes(ins_class="FUTURE", expired=True)), [])
                self.assertEqual(sorted(api.query_quotes(ins_class="FUTURE", has_night=True)), sorted(futures))
                self.assertEqual(list(api.query_quotes(ins_class="OPTION")), [])
                self.assertEqual(list(api.query_quotes(ins_class="CONT")), ["KQ.m@SHFE.cu"])
                main = list(api.query_cont_quotes())
                self.assertEqual(len(main), 1)
                self.assertIn(main[0], futures)
                self.assertEqual(list(api.query_cont_quotes(exchange_id="DCE")), [])
                quote = api.get_quote(main[0])
                self.assertEqual((quote.price_tick, quote.price_decs, quote.volume_multiple), (10, 0, 5))
                self.assertEqual((quote.ins_class, quote.exchange_id, quote.product_id), ("FUTURE", "SHFE", "cu"))
                self.assertEqual(quote.trading_time.night[0], ["21:00:00", "25:00:00"])
                self.assertEqual(len(quote.trading_time.day), 3)
                self.assertFalse(quote.expired)
                self.assertGreater(quote.expire_datetime, 1.75e9)
                self.assertEqual(api.get_quote("KQ.m@SHFE.cu").underlying_symbol, main[0])
                # Variables beside the query.
                asked = api.query_graphql(
                    "query($instrument_id:[String]){multi_symbol_info(instrument_id:$instrument_id){__typename}}",
                    {"instrument_id": [main[0]]},
                )
                found = [i["instrument_id"] for i in asked["result"]["multi_symbol_info"]]
                self.assertEqual(found, [main[0]])
            with client() as api:
                begun = time.monotonic()
                with self.assertRaisesRegex(Exception, "SHFE.cu9999"):
                    api.get_quote("SHFE.cu9999")
                self.assertLess(time.monotonic() - begun, 2)

    def test_quotes(self):
        """DS-08, DS-09, DS-18: many quotes at once, an empty side, no row beyond the clock."""
        with tempfile.TemporaryDirectory() as folder:
            made = Tape()
            made.run("2025-07-18 09:00:00.5", 20)
            made.row("2025-07-18 09:00:11", 88000, None, last=88000, traded=1)
            locked = made.write(folder)
            with Server("--data", locked, "--start", "end"), client() as api:
                quote = api.get_quote("SHFE.cu2509")
                self.assertEqual(quote.bid_price1, 88000)
                self.assertTrue(math.isnan(quote.ask_price1))
                self.assertEqual(quote.ask_volume1, 0)
                # The file ends, so the day is settled: at its average on the price grid.
                self.assertEqual((quote.close, quote.settlement), (88000, 80380))
                self.assertEqual((quote.upper_limit, quote.lower_limit), (88000, 72000))
            with Server("--data", locked, "--speed", 0, "--start", "2025-07-18T09:00:05"), client() as api:
                quote = api.get_quote("SHFE.cu2509")
                ticks = api.get_tick_serial("SHFE.cu2509", 200)
                self.assertEqual(quote.datetime, "2025-07-18 09:00:05.000000")
                self.assertEqual(ticks.datetime.max(), cst("2025-07-18 09:00:05"))
                self.assertTrue(math.isnan(quote.close) and math.isnan(quote.settlement))
                self.assertEqual(api.query_his_cont_quotes("KQ.m@SHFE.cu", n=1).shape[0], 1)

    def test_a_hundred_quotes(self):
        """DS-08: a list of 100 symbols."""
        with tempfile.TemporaryDirectory() as folder:
            months = [f"{y}{m:02d}" for y in (25, 26, 27) for m in range(1, 13)]
            symbols = [f"SHFE.{p}{m}" for p in ("cu", "al", "zn") for m in months][:100]
            files = []
            for symbol in symbols:
                made = Tape(symbol)
                made.run("2025-07-18 09:00:00.5", 3)
                files.append(made.write(folder))
            with Server("--data", *files, "--start", "end"), client() as api:
                quotes = api.get_quote_list(symbols)
                self.assertEqual([q.instrument_id for q in quotes], symbols)
                self.assertTrue(all(q.last_price == 80000 for q in quotes))

    def test_ticks_and_windows(self):
        """DS-12, DS-13, DS-17: ticks roll by one a tick; the three windows; ids are the same for all and for ever."""
        symbol = "SHFE.cu2509"
        with Server("--data", self.file, "--speed", "max", "--start", "2025-07-17T21:10:00"):
            with client() as api:
                ticks = api.get_tick_serial(symbol, 100)
                quote = api.get_quote(symbol)
                last, seen = int(ticks.id.iloc[-1]), []
                while len(seen) < 50:
                    api.wait_update()
                    now = int(ticks.id.iloc[-1])
                    if now != last:
                        seen.append(now - last)
                        last = now
                        self.assertEqual(list(ticks.id.astype(int)), list(range(now - 99, now + 1)))
                        self.assertEqual(ticks.datetime.iloc[-1], cst(quote.datetime))
                self.assertEqual(set(seen), {1})
                at = cst("2025-07-17 21:05:00.2")
                first = next(i for i, row in enumerate(self.tape.rows) if row[0] >= at)
                chart = {"aid": "set_chart", "ins_list": symbol, "duration": 0, "view_width": 10}
                windows = {
                    "rolling": {},
                    "left": {"left_kline_id": 17},
                    "beyond": {"left_kline_id": 10**7},
                    "focus": {"focus_datetime": at, "focus_position": 3},
                    "late": {"focus_datetime": cst("2025-07-18 15:00:00"), "focus_position": 0},
                }
                for name, more in windows.items():
                    api._send_pack({**chart, "chart_id": name, **more})
                charts = api._data["charts"]
                deadline = time.time() + 20
                while not all(charts.get(name, {}).get("ready") for name in windows):
                    self.assertTrue(api.wait_update(deadline=deadline))
                ids = {name: (charts[name]["left_id"], charts[name]["right_id"]) for name in windows}
                count = api._data["ticks"][symbol]["last_id"] + 1
                self.assertEqual(ids["left"], (17, 26))
                self.assertEqual(ids["beyond"], (10**7, 10**7 + 9))
                self.assertEqual(ids["focus"], (first - 3, first + 6))
                self.assertEqual(ids["rolling"], (count - 10, count - 1))
                self.assertEqual(ids["late"][1] - ids["late"][0], 9)
                self.assertLessEqual(ids["late"][0], count)
                rows = api._data["ticks"][symbol]["data"]
                for i in range(17, 27):
                    self.assertEqual(rows[str(i)]["datetime"], self.tape.rows[i][0])
        kept = []
        for _ in range(2):
            with Server("--data", self.file, "--start", "end"), client(user="a") as one, client(user="b") as two:
                for api in (one, two):
                    ticks = api.get_tick_serial(symbol, 300)
                    kept.append([(int(i), int(t)) for i, t in zip(ticks.id, ticks.datetime)])
        self.assertTrue(all(k == kept[0] for k in kept))

    def test_downloads(self):
        """DS-14, DS-19: five pages and more by series and by DataDownloader, row by row what the file holds."""
        from tqsdk.tools import DataDownloader

        symbol = "SHFE.cu2509"
        made, file = tape(self.folder.name, rows=9000, symbol="SHFE.cu2510")
        with Server("--data", self.file, file, "--start", "end"), client() as api:
            series = api.get_tick_data_series(symbol, FROM, TO)
            self.assertEqual(list(series.datetime), [ns for ns, _ in self.tape.rows])
            self.assertEqual(list(series.volume), [cells[4] for _, cells in self.tape.rows])
            self.assertEqual(list(series.ask_price5), [cells[25] for _, cells in self.tape.rows])
            out = os.path.join(self.folder.name, "out.csv")
            task = DataDownloader(api, "SHFE.cu2510", 0, FROM, TO, out)
            while not task.is_finished():
                api.wait_update()
        with open(out) as got, open(file) as want:
            got, want = list(csv.reader(got)), list(csv.reader(want))
        self.assertEqual(len(got), 9002)
        self.assertEqual(got[0], want[0])
        for g, w in zip(got[1:], want[1:]):
            self.assertEqual([g[0], *map(float, g[1:])], [w[0], *map(float, w[1:])])

    def test_compressed_or_not(self):
        """DS-05: with and without deflate the same rows, to the client and to others that do not offer it."""
        import websockets

        async def rows(url, compression):
            async with websockets.connect(url, compression=compression, max_size=None) as line:
                deflate = "permessage-deflate" in (line.response.headers.get("Sec-WebSocket-Extensions") or "")
                chart = {"aid": "set_chart", "chart_id": "c", "ins_list": "SHFE.cu2509", "duration": 0}
                await line.send(json.dumps({**chart, "view_width": 1000}))
                found = {}
                while len(found) < 1000:
                    await line.send('{"aid":"peek_message"}')
                    for patch in json.loads(await line.recv())["data"]:
                        found |= patch.get("ticks", {}).get("SHFE.cu2509", {}).get("data", {})
                return deflate, found

        ways, found, series = [], [], []
        for flags in ([], ["--no-deflate"]):
            with Server("--data", self.file, "--start", "end", *flags) as server:
                for compression in ("deflate", None):
                    way, got = asyncio.run(rows(server.url["md"], compression))
                    ways.append(way)
                    found.append(got)
                with client() as api:
                    series.append(api.get_tick_serial("SHFE.cu2509", 500).copy())
        self.assertEqual(ways, [True, False, False, False])
        self.assertTrue(all(f == found[0] for f in found))
        self.assertTrue(series[0].equals(series[1]))


class Commands(unittest.TestCase):
    def serve(self, *flags):
        done = subprocess.run([PROGRAM, "sim", "serve", *flags], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    def test_bad_starts(self):
        """A taken port, bad flags and unusable files are clear errors."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            code, said = self.serve("--synthetic", "1", "--listen", f"127.0.0.1:{port}")
        self.assertEqual(code, 4)
        self.assertIn("error[address_in_use]", said)
        self.assertIn("--listen", said)
        with tempfile.TemporaryDirectory() as folder:
            accounts = os.path.join(folder, "accounts.toml")
            with open(accounts, "w") as file:
                file.write("[[account]]\nuser = 'a'\nbalance = -1\n")
            for flags, word in [
                (["--synthetic", "1", "--speed", "fast"], "no number from 0 on"),
                (["--synthetic", "1", "--start", "noon"], "no time"),
                (["--synthetic", "1", "--price-limit", "2"], "out_of_bounds"),
                (["--synthetic", "1", "--accounts", accounts], "bad_accounts"),
                (["--synthetic", "1", "--accounts", accounts + "x"], "accounts_unreadable"),
                (["--synthetic", "1", "--var", "rb"], "bad_symbol"),
                (["--data", os.path.join(folder, "none.csv")], "error["),
                (["--data", accounts], "error["),
                ([], "--data"),
                (["--synthetic", "1", "--data", accounts], "cannot be used with"),
            ]:
                code, said = self.serve("--listen", "127.0.0.1:0", *flags)
                self.assertEqual(code, 2, (flags, said))
                self.assertIn(word, said, flags)


@unittest.skipUnless(os.path.isdir(SHARED), "../shared/data not found")
class RoundTrip(unittest.TestCase):
    def check(self, name):
        """Served, downloaded by the client, imported: the same day as the file itself, by digest."""
        from tqsdk.tools import DataDownloader

        file = os.path.join(SHARED, "tqsdk", name)
        symbol = ".".join(name.split(".")[:2]).removesuffix("_last200")
        with open(file) as lines:
            stamps = [int(row[1]) for row in list(csv.reader(lines))[1:]]
        zone = datetime.timezone(datetime.timedelta(hours=8))
        first, last = (datetime.datetime.fromtimestamp(ns // 10**9 + d, zone) for ns, d in ((stamps[0], 0), (stamps[-1], 1)))
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, f"{symbol}.csv")
            with Server("--data", file, "--start", "end"), client() as api:
                task = DataDownloader(api, symbol, 0, first, last, out)
                while not task.is_finished():
                    api.wait_update()
            digests = []
            for place, source in (("a", file), ("b", out)):
                root = os.path.join(folder, place)
                os.mkdir(root)
                done = subprocess.run(
                    [PROGRAM, "--root", root, "--json", "data", "import", source], capture_output=True, text=True
                )
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                digests.append(days(done.stdout))
            self.assertEqual(digests[0], digests[1])
            self.assertEqual(sum(rows for _, rows, _ in digests[0]), len(stamps))

    def test_five_levels(self):
        """DS-19"""
        self.check("SHFE.ad2511.csv")
        self.check("SHFE.wr2510.csv")

    def test_one_level(self):
        """DS-19: prices of 0.2 and 0.05 a tick, another exchange's hours."""
        self.check("CFFEX.IF2509.csv")
        self.check("DCE.bb2511.csv")

    def test_expiry_day_with_holes(self):
        """DS-19: levels that were missing; counts of both sides."""
        self.check("SHFE.cu1909_last200.csv")


class OwnClient(unittest.TestCase):
    def test_own_client_of_own_server(self):
        """`ghtrader data download` from `ghtrader sim serve`: the day that importing the file gives, compressed or not."""
        with tempfile.TemporaryDirectory() as folder:
            _, file = tape(folder)
            # A day is whole when the source's own clock stands in the contract's next one.
            after = Tape("SHFE.cu2509")
            for second in (1, 2, 3):
                after.row(f"2025-07-21 09:00:0{second}.5", 80000, 80010, traded=1)
            os.mkdir(os.path.join(folder, "next"))
            next_day = after.write(os.path.join(folder, "next"))
            stored = []
            for place in ("imported", "plain", "deflated"):
                root = os.path.join(folder, place)
                os.mkdir(root)
                if place == "imported":
                    command, more = ["data", "import", file], {}
                    server = None
                else:
                    server = Server("--data", file, next_day, "--start", "end", *(["--no-deflate"] if place == "plain" else []))
                    command = ["data", "download", "SHFE.cu2509", "--from", "2025-07-18", "--to", "2025-07-18"]
                    more = {"GHTRADER_DIFF_AUTH_URL": server.url["auth"], "GHTRADER_DIFF_MD_URL": server.url["md"]}
                    more |= {f"GHTRADER_DIFF_{n}": "any" for n in ("USER", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")}
                    # Our server has no hours of maintenance.
                    more["GHTRADER_DOWNLOAD_MAINTENANCE_HOURS"] = '""'
                try:
                    run = [PROGRAM, "--root", root, "--json", *command]
                    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, **more}, timeout=120)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                finally:
                    if server:
                        server.__exit__()
                with open(os.path.join(root, "data/manifest/ticks/SHFE.cu2509/2025-07-18.json")) as manifest:
                    body = json.load(manifest)["body"]
                stored.append({k: body[k] for k in ("rows", "first_ts_ns", "last_ts_ns", "sha256", "counting")})
            self.assertEqual(stored[0]["rows"], 5001)
            self.assertEqual(stored[1:], stored[:1] * 2)


def days(report):
    """Day, rows and digest of each day that an import stored."""
    return [(d["trading_day"], d["rows"], d["sha256"]) for d in json.loads(report)["symbol_days"]]


if __name__ == "__main__":
    unittest.main()
