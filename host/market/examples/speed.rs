fn main() {
    let path = std::env::args().nth(1).unwrap();
    let o = ghtrader_market::ReadOptions::default();
    let f = ghtrader_market::TickFile::open(path.as_ref(), &o).unwrap();
    for _ in 0..5 {
        let t = std::time::Instant::now();
        let r = f.read(&o).unwrap();
        let s = t.elapsed().as_secs_f64();
        println!("{} rows {} rejects {:.3}s {:.2} M/s", r.rows_read, r.rejects.len(), s, r.rows_read as f64 / s / 1e6);
        println!("{:?}", r.rejects.first());
    }
}
