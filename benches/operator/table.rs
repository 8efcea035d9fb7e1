//! The table that comes out.

use std::time::Duration;

use crate::process::Usage;

/// Rows of what was measured, the budget that it has, and what a peer's trial recorded.
#[derive(Debug)]
pub struct Table {
    load: String,
    rows: Vec<[String; 4]>,
    broken: Vec<String>,
}

impl Table {
    pub fn new(load: &str) -> Self {
        Self {
            load: load.trim().to_owned(),
            rows: Vec::new(),
            broken: Vec::new(),
        }
    }

    fn row(&mut self, what: &str, ours: String, budget: String, peer: &str) {
        eprintln!("operator: {what}: {ours}");
        self.rows.push([what.to_owned(), ours, budget, peer.to_owned()]);
    }

    /// A count, or a mean of counts, that is not to be more than its budget.
    pub fn counts(&mut self, what: &str, count: f64, budget: f64, peer: &str) {
        let holds = count <= budget + 1e-9;
        self.judge(what, holds);
        let shown = if count.fract() == 0.0 {
            format!("{count}")
        } else {
            format!("{count:.2}")
        };
        self.row(what, shown, verdict(&budget.to_string(), holds), peer);
    }

    /// Times, of which the median is not to be more than the budget, if there is one.
    pub fn times(&mut self, what: &str, times: &[Duration], budget: Option<Duration>, peer: &str) {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)];
        let holds = budget.is_none_or(|budget| at(50) < budget);
        self.judge(what, holds);
        let shown = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
        let budget = budget.map_or(String::new(), |budget| {
            verdict(&format!("p50 < {}", shown(budget)), holds)
        });
        self.row(
            what,
            format!("p50 {}, p99 {} (of {})", shown(at(50)), shown(at(99)), sorted.len()),
            budget,
            peer,
        );
    }

    /// Something without a budget.
    pub fn text(&mut self, what: &str, ours: &str, peer: &str) {
        self.row(what, ours.to_owned(), String::new(), peer);
    }

    /// Processor time and memory.
    pub fn usage(&mut self, what: &str, used: &Usage, seconds: &str, memory: &str) {
        let ours = format!("{:.2} s", used.operator_seconds);
        self.text(&format!("operator's processor time, {what}"), &ours, seconds);
        let others = format!("{:.1} s and {:.1} s", used.apiserver_seconds, used.etcd_seconds);
        self.text(
            &format!("apiserver's and etcd's, {what}"),
            &others,
            if seconds.is_empty() {
                ""
            } else {
                "27.2 s and 4.3 s at 200"
            },
        );
        let ours = format!("{:.0} MB, at most {:.0} MB", used.resident, used.peak);
        self.text(&format!("operator's memory (RSS), {what}"), &ours, memory);
    }

    fn judge(&mut self, what: &str, holds: bool) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    /// Whether every budget holds.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    pub fn print(&self) {
        let build = if cfg!(debug_assertions) {
            "a build for debugging: times, processor time and memory say nothing"
        } else {
            "profile bench: optimised, without link-time optimisation"
        };
        let after = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("\nThe operator on a control plane of its own; {build}.");
        println!("Load average before {}, after {}.", self.load, after.trim());
        println!(
            "kro 0.9.3: recorded elsewhere, on another day, with five objects of the same kinds; not measured here.\n"
        );
        println!("| what | Landfall | budget | kro 0.9.3, recorded |\n|---|---|---|---|");
        for [what, ours, budget, peer] in &self.rows {
            println!("| {what} | {ours} | {budget} | {peer} |");
        }
        match self.broken.as_slice() {
            [] => println!("\nEvery budget holds.\n"),
            broken => println!("\nBudgets that do NOT hold: {}.\n", broken.join("; ")),
        }
    }
}

fn verdict(budget: &str, holds: bool) -> String {
    format!("{budget}{}", if holds { "" } else { ", NOT held" })
}
