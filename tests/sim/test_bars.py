"""Klines, several symbols, backtests and the client's own simulated account."""

import datetime
import math
import tempfile
import unittest

from server import Server, Tape, client, cst

MINUTE = 60 * 10**9
SYMBOL, OTHER = "SHFE.cu2509", "SHFE.al2509"


def bars_of(rows, width_ns=MINUTE):
    """Bars by hand: start (by Shanghai time), open, high, low, close, volume, first and last open interest."""
    bars, before, zone = [], 0, 8 * 3600 * 10**9
    for ns, cells in rows:
        last, volume, oi = cells[0], cells[4], cells[6]
        start = (ns + zone) // width_ns * width_ns - zone
        if not bars or bars[-1][0] != start:
            bars.append([start, last, last, last, last, 0, oi, oi])
        bar = bars[-1]
        bar[2], bar[3], bar[4] = max(bar[2], last), min(bar[3], last), last
        bar[5] += volume - before
        bar[7] = oi
        before = volume
    return bars


def wave(symbol, first, count, every=1, base=80000, tick=10):
    made = Tape(symbol, tick=tick)
    for n in range(0, count, every):
        price = base + tick * (n // 7 % 11)
        made.row(cst(first) + n * 500_000_000, price, price + tick, traded=1 + n % 3)
    return made


class Bars(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tape = wave(SYMBOL, "2025-07-18 09:00:00.5", 2400)
        cls.other = wave(OTHER, "2025-07-18 09:00:20.5", 2300, every=170, base=20000, tick=5)
        cls.files = [cls.tape.write(cls.folder.name), cls.other.write(cls.folder.name)]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_bars_of_many_durations(self):
        """DS-12: bars of minutes, of odd seconds and of a day are what the rows say."""
        with Server("--data", *self.files, "--start", "end"), client() as api:
            for seconds in (60, 300, 15, 7):
                want = bars_of(self.tape.rows, seconds * 10**9)
                frame = api.get_kline_serial(SYMBOL, seconds, 40)
                got = frame[["datetime", "open", "high", "low", "close", "volume", "open_oi", "close_oi"]]
                got = [[int(row[0]), *map(float, row[1:])] for row in got.values if row[0] > 0]
                self.assertEqual(got, want[-len(got) :])
                self.assertEqual(len(got), min(40, len(want)))
            day = api.get_kline_serial(SYMBOL, 86400, 5).iloc[-1]
            self.assertEqual(day.datetime, cst("2025-07-18 00:00:00"))
            cells = [c for _, c in self.tape.rows]
            self.assertEqual((day.open, day.close, day.volume), (cells[0][0], cells[-1][0], cells[-1][4]))
            self.assertEqual((day.high, day.low), (cells[-1][1], cells[-1][2]))

    def test_a_running_bar(self):
        """DS-12: a bar changes in place while it runs; the next one is a new id."""
        with Server("--data", *self.files, "--speed", "max", "--start", "2025-07-18T09:02:30"), client() as api:
            bars = api.get_kline_serial(SYMBOL, 60, 3)
            quote = api.get_quote(SYMBOL)
            last, grown, steps = int(bars.id.iloc[-1]), 0, 0
            while grown < 2:
                api.wait_update()
                now = int(bars.id.iloc[-1])
                known = [row for row in self.tape.rows if row[0] <= cst(quote.datetime)]
                want = bars_of(known)
                self.assertEqual(now, len(want) - 1)
                got = bars.iloc[-1]
                self.assertEqual([got.datetime, got.open, got.high, got.low, got.close, got.volume], want[-1][:6])
                grown += now - last
                self.assertLessEqual(now - last, 1)
                last, steps = now, steps + 1
            self.assertGreater(steps, 60)

    def test_no_rows_yet(self):
        """DS-15: a series without bars is answered, not waited for."""
        with Server("--data", *self.files, "--speed", 0, "--start", "2025-07-18T09:00:05"), client() as api:
            bars = api.get_kline_serial(OTHER, 60, 10)
            self.assertEqual(len(bars), 10)
            self.assertTrue(all(math.isnan(v) for v in bars.close))

    def test_several_symbols(self):
        """DS-16: bars of two symbols side by side, by time, while they run too."""
        with Server("--data", *self.files, "--speed", "max", "--start", "2025-07-18T09:08:00"), client() as api:
            frame = api.get_kline_serial([SYMBOL, OTHER], 60, 5)
            quote = api.get_quote(SYMBOL)
            grown, last = 0, int(frame.id.iloc[-1])
            while grown < 3:
                api.wait_update()
                now_ns = cst(quote.datetime)
                mine = {b[0]: b for b in bars_of([r for r in self.tape.rows if r[0] <= now_ns])}
                theirs = bars_of([r for r in self.other.rows if r[0] <= now_ns])
                for _, row in frame.iterrows():
                    self.assertEqual([row.open, row.close, row.volume], [mine[row.datetime][i] for i in (1, 4, 5)])
                    bound = [b for b in theirs if b[0] <= row.datetime][-1]
                    self.assertEqual([row.open1, row.close1, row.volume1], [bound[i] for i in (1, 4, 5)])
                grown += int(frame.id.iloc[-1]) - last
                last = int(frame.id.iloc[-1])

    def test_download_of_bars(self):
        """DS-19: a series of bars is the bars of the rows."""
        with Server("--data", *self.files, "--start", "end"), client() as api:
            span = datetime.datetime(2025, 7, 18, 9), datetime.datetime(2025, 7, 18, 15)
            frame = api.get_kline_data_series(SYMBOL, 60, *span)
            got = [[int(r.datetime), r.open, r.high, r.low, r.close, r.volume] for r in frame.itertuples()]
            self.assertEqual(got, [b[:6] for b in bars_of(self.tape.rows)])


class Backtests(unittest.TestCase):
    """The client's own backtest, on a roll: two contracts, three days, the second overtakes the first."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.files = []
        # At the close of the 16th the later contract holds more: it is main from the 17th on.
        for symbol, interest in (("SHFE.cu2509", (9000, 8000, 7000)), ("SHFE.cu2510", (5000, 8500, 9500))):
            made = Tape(symbol)
            for day, oi in zip(("15", "16", "17"), interest):
                made.new_day()
                made.oi = oi
                for n in range(600):
                    price = 80000 + 10 * (n // 5 % 9)
                    made.row(cst(f"2025-07-{day} 09:00:00.5") + n * 500_000_000, price, price + 10, traded=2)
            cls.files.append(made.write(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def backtest(self, work):
        from tqsdk import BacktestFinished, TqBacktest, TqSim

        days = TqBacktest(datetime.date(2025, 7, 15), datetime.date(2025, 7, 17))
        sim = TqSim()
        with Server("--data", *self.files, "--start", "end"):
            with client(sim, backtest=days) as api, self.assertRaises(BacktestFinished):
                work(api, sim)
                while True:
                    api.wait_update()
        return sim

    def test_on_ticks(self):
        """DS-20: every row once; the main contract changes on its day."""
        seen, mains = [], {}

        def work(api, _):
            ticks = api.get_tick_serial("SHFE.cu2509", 2)
            api.get_tick_serial("KQ.m@SHFE.cu", 2)
            main = api.get_quote("KQ.m@SHFE.cu")
            while True:
                seen.append(int(ticks.datetime.iloc[-1]))
                mains.setdefault(main.underlying_symbol, seen[-1])
                api.wait_update()

        self.backtest(work)
        first = cst("2025-07-15 09:00:00.5")
        want = [first + d * 86400 * 10**9 + n * 500_000_000 for d in range(3) for n in range(600)]
        self.assertEqual(sorted(set(seen) - {0}), want)
        self.assertEqual(list(mains), ["SHFE.cu2509", "SHFE.cu2510"])
        self.assertEqual(mains["SHFE.cu2510"] // (86400 * 10**9), cst("2025-07-17 09:00:00") // (86400 * 10**9))

    def test_on_bars_with_orders(self):
        """DS-20, DS-21: bars, and the client's simulated account: fills, margin and commission by our figures."""
        got = {}

        def work(api, _):
            bars = api.get_kline_serial("SHFE.cu2509", 60, 3)
            quote = api.get_quote("SHFE.cu2509")
            order = api.insert_order("SHFE.cu2509", "BUY", "OPEN", 2, limit_price=quote.last_price + 200)
            while order.status != "FINISHED":
                api.wait_update()
            account = api.get_account()
            got.update(left=order.volume_left, margin=account.margin, commission=account.commission)
            got["bars"] = set()
            while True:
                got["bars"].add(int(bars.datetime.iloc[-1]))
                api.wait_update()

        sim = self.backtest(work)
        self.assertEqual(got["left"], 0)
        # 9 % and 0.00005 of a lot's value at the last settlement, 80040.
        self.assertAlmostEqual(got["margin"], 2 * 0.09 * 80040 * 5)
        self.assertAlmostEqual(got["commission"], 2 * 0.00005 * 80040 * 5, places=4)
        self.assertEqual(len([b for b in got["bars"] if b]), 3 * 6)
        self.assertEqual(sim.tqsdk_stat["init_balance"], 10_000_000)

    def test_the_clients_account_live(self):
        """DS-21: TqSim on the live line."""
        with Server("--data", *self.files, "--speed", "max"), client() as api:
            quote = api.get_quote("SHFE.cu2509")
            order = api.insert_order("SHFE.cu2509", "BUY", "OPEN", 1, limit_price=quote.ask_price1 + 100)
            while order.status != "FINISHED":
                api.wait_update()
            self.assertEqual(order.volume_left, 0)
            self.assertGreater(api.get_account().margin, 0)


if __name__ == "__main__":
    unittest.main()
