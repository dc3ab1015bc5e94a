//! Newton's method for the multinomial logistic loss, in a fixed order of operations.

/// Σ loss + ½·ridge·‖W‖² over rows of scaled features; the intercepts are free of the penalty.
pub(crate) struct Problem<'a> {
    /// Rows × features, row after row.
    pub(crate) x: &'a [f64],
    /// Class of each row, below `classes`.
    pub(crate) y: &'a [usize],
    /// Number of classes.
    pub(crate) classes: usize,
    /// Strength of the penalty.
    pub(crate) ridge: f64,
}

/// Loss with its derivatives at one point.
struct Point {
    loss: f64,
    gradient: Vec<f64>,
    /// Symmetric, `size × size`.
    hessian: Vec<f64>,
}

const MAX_STEPS: usize = 100;
/// Bound of the gradient's largest component, per row.
const TOLERANCE: f64 = 1e-12;

impl Problem<'_> {
    fn features(&self) -> usize {
        self.x.len() / self.y.len()
    }

    fn size(&self) -> usize {
        (self.features() + 1) * self.classes
    }

    /// Loss, gradient and Hessian at `w`, `(features + 1) × classes` with the intercepts last.
    fn at(&self, w: &[f64]) -> Point {
        let (p, c, size) = (self.features(), self.classes, self.size());
        let mut loss = 0.0;
        let mut gradient = vec![0.0; size];
        // blocks[pair of classes k ≤ l][i ≥ j of features and intercept]
        let triangle = (p + 1) * (p + 2) / 2;
        let mut blocks = vec![vec![0.0; triangle]; c * (c + 1) / 2];
        let mut row = vec![1.0; p + 1];
        let mut z = vec![0.0; c];
        for (i, &y) in self.y.iter().enumerate() {
            row[..p].copy_from_slice(&self.x[i * p..(i + 1) * p]);
            z.fill(0.0);
            for (x, w) in row.iter().zip(w.chunks_exact(c)) {
                for (z, w) in z.iter_mut().zip(w) {
                    *z += x * w;
                }
            }
            let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let own = z[y] - top;
            z.iter_mut().for_each(|z| *z = libm::exp(*z - top));
            let sum: f64 = z.iter().sum();
            loss += libm::log(sum) - own;
            z.iter_mut().for_each(|z| *z /= sum);
            for (x, g) in row.iter().zip(gradient.chunks_exact_mut(c)) {
                for (k, g) in g.iter_mut().enumerate() {
                    *g += x * (z[k] - f64::from(u8::from(k == y)));
                }
            }
            let mut block = 0;
            for k in 0..c {
                for l in k..c {
                    let curvature = z[k] * (f64::from(u8::from(k == l)) - z[l]);
                    let mut cell = 0;
                    for (i, xi) in row.iter().enumerate() {
                        let a = curvature * xi;
                        for (h, xj) in blocks[block][cell..=cell + i].iter_mut().zip(&row) {
                            *h += a * xj;
                        }
                        cell += i + 1;
                    }
                    block += 1;
                }
            }
        }
        let mut hessian = vec![0.0; size * size];
        let mut block = 0;
        for k in 0..c {
            for l in k..c {
                let mut cell = 0;
                for i in 0..=p {
                    for j in 0..=i {
                        for (a, b) in [(i * c + k, j * c + l), (j * c + k, i * c + l)] {
                            hessian[a * size + b] = blocks[block][cell];
                            hessian[b * size + a] = blocks[block][cell];
                        }
                        cell += 1;
                    }
                }
                block += 1;
            }
        }
        for a in 0..p * c {
            loss += 0.5 * self.ridge * w[a] * w[a];
            gradient[a] += self.ridge * w[a];
            hessian[a * size + a] += self.ridge;
        }
        // The same number added to all intercepts changes nothing; this term, 0 at its optimum, chooses those that sum to 0.
        let gauge = self.y.len() as f64 / c as f64;
        let sum: f64 = w[p * c..].iter().sum();
        loss += 0.5 * gauge * sum * sum;
        for a in p * c..size {
            gradient[a] += gauge * sum;
            for b in p * c..size {
                hessian[a * size + b] += gauge;
            }
        }
        Point { loss, gradient, hessian }
    }
}

/// Solves `a·s = b` for a symmetric positive definite matrix by Cholesky's method; `None` if it is not.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - dot;
            a[i * n + j] = if i > j { rest / a[j * n + j] } else { rest.sqrt() };
        }
        if a[i * n + i].is_nan() || a[i * n + i] <= 0.0 {
            return None;
        }
        let dot: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i * n + i];
    }
    Some(b)
}

/// Minimises from a start, halving steps that do not lower the loss.
///
/// Fails with the gradient per row and its bound. Source: Nocedal, Wright 2006, algorithm 3.2.
pub(crate) fn minimise(problem: &Problem<'_>, start: Vec<f64>) -> Result<Vec<f64>, (f64, f64)> {
    let rows = problem.y.len() as f64;
    let largest = |p: &Point| p.gradient.iter().fold(0.0f64, |m, g| m.max(g.abs())) / rows;
    let mut w = start;
    let mut here = problem.at(&w);
    for _ in 0..MAX_STEPS {
        if largest(&here) <= TOLERANCE {
            return Ok(w);
        }
        let Some(step) = solve(here.hessian.clone(), here.gradient.clone()) else { break };
        let mut size = 1.0;
        let (next, there) = loop {
            let next: Vec<f64> = w.iter().zip(&step).map(|(w, s)| w - size * s).collect();
            let there = problem.at(&next);
            // Close to the optimum the loss no longer shows progress, the gradient does.
            if there.loss < here.loss || largest(&there) < largest(&here) {
                break (next, there);
            }
            size *= 0.5;
            if size < 1e-6 {
                // No step helps: the optimum as far as f64 sums can tell.
                let gradient = largest(&here);
                return if gradient <= 1e3 * TOLERANCE { Ok(w) } else { Err((gradient, TOLERANCE)) };
            }
        };
        (w, here) = (next, there);
    }
    Err((largest(&here), TOLERANCE))
}
