//! What was measured, as a table or as JSON.

use serde_json::json;

/// One figure, measured at every relay.
#[derive(Debug)]
pub(crate) struct Figure {
    scenario: &'static str,
    name: String,
    unit: &'static str,
    decimals: usize,
    /// What it should at most be.
    reach: Option<f64>,
    /// One value for each relay.
    values: Vec<f64>,
}

impl Figure {
    /// Makes a figure without values.
    pub(crate) fn new(scenario: &'static str, name: impl Into<String>, unit: &'static str) -> Self {
        Self {
            scenario,
            name: name.into(),
            unit,
            decimals: 0,
            reach: None,
            values: Vec::new(),
        }
    }

    /// Shows this many decimals.
    pub(crate) fn decimals(self, decimals: usize) -> Self {
        Self { decimals, ..self }
    }

    /// Shows beside it what it should at most be.
    pub(crate) fn reach(self, reach: f64) -> Self {
        Self {
            reach: Some(reach),
            ..self
        }
    }

    /// Has these values, one for each relay.
    pub(crate) fn values(self, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            values: values.into_iter().collect(),
            ..self
        }
    }

    fn cells(&self) -> Vec<String> {
        let decimals = self.decimals;
        let mut cells = vec![self.scenario.to_owned(), self.name.clone()];
        cells.extend(
            self.values
                .iter()
                .map(|value| format!("{value:.decimals$}")),
        );
        cells.push(self.unit.to_owned());
        cells.push(match self.reach {
            Some(reach) => format!("≤ {reach}"),
            None => String::new(),
        });
        cells
    }
}

/// Adds what each relay gave, figure by figure. All gave the same figures in the same order.
pub(crate) fn side_by_side(measured: Vec<Vec<Figure>>) -> Vec<Figure> {
    let mut relays = measured.into_iter();
    let mut all = relays.next().unwrap_or_default();
    for relay in relays {
        for (figure, other) in all.iter_mut().zip(relay) {
            figure.values.extend(other.values);
        }
    }
    all
}

/// Makes an aligned table.
pub(crate) fn table(relays: &[String], figures: &[Figure]) -> String {
    let mut rows = vec![vec!["scenario".to_owned(), "figure".to_owned()]];
    rows[0].extend(relays.iter().cloned());
    rows[0].extend(["unit".to_owned(), "reach".to_owned()]);
    rows.extend(figures.iter().map(Figure::cells));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let number = (2..2 + relays.len()).contains(&column);
            line += &if number {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
        }
        table += line.trim_end();
        table.push('\n');
    }
    table
}

/// Makes a JSON document.
pub(crate) fn json(relays: &[String], figures: &[Figure]) -> String {
    let figure = |figure: &Figure| {
        json!({
            "scenario": figure.scenario,
            "name": figure.name,
            "unit": figure.unit,
            "reach": figure.reach,
            "values": figure.values,
        })
    };
    let figures: Vec<_> = figures.iter().map(figure).collect();
    format!("{:#}", json!({ "relays": relays, "figures": figures }))
}
