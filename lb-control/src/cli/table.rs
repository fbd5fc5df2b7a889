//! Tables in kubectl's look: no borders, upper-case headers, two spaces.

use comfy_table::{CellAlignment, presets};

/// A column that only the wide format shows has this before its header.
const WIDE: char = '+';

/// Rows under headers.
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    numeric: bool,
}

impl Table {
    /// A header that begins with `+` is shown by the wide format only.
    pub fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new(), numeric: false }
    }

    /// Every column but the first is numbers.
    pub fn numeric(headers: &[&'static str]) -> Self {
        Self { numeric: true, ..Self::new(headers) }
    }

    /// A row of as many cells as there are headers; an empty cell shows as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let shown = |cell: String| {
            if cell.is_empty() { "-".to_owned() } else { cell }
        };
        let row: Vec<_> = cells.into_iter().map(shown).collect();
        debug_assert_eq!(row.len(), self.headers.len());
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines, each with its end.
    pub fn render(&self, wide: bool) -> String {
        let shown: Vec<usize> = (0..self.headers.len())
            .filter(|&column| wide || !self.headers[column].starts_with(WIDE))
            .collect();
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(shown.iter().map(|&c| self.headers[c].trim_start_matches(WIDE)));
        for row in &self.rows {
            table.add_row(shown.iter().map(|&column| &row[column]));
        }
        let last = shown.len() - 1;
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
            if self.numeric && index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_kubectl() {
        let mut table = Table::new(&["NAME", "+RING", "MODE"]);
        table.row(["www".into(), "65537".into(), "l2".into()]);
        table.row(["a-longer-name".into(), "7".into(), String::new()]);
        assert_eq!(
            table.render(false),
            "NAME           MODE\nwww            l2\na-longer-name  -\n"
        );
        assert_eq!(
            table.render(true),
            "NAME           RING   MODE\nwww            65537  l2\na-longer-name  7      -\n"
        );
    }

    #[test]
    fn numbers_stand_under_each_other() {
        let mut table = Table::numeric(&["SERVICE", "NEW", "BROKEN"]);
        table.row(["www".into(), "12345".into(), "0".into()]);
        table.row(["shop".into(), "7".into(), "100".into()]);
        assert_eq!(
            table.render(false),
            "SERVICE    NEW  BROKEN\nwww      12345       0\nshop         7     100\n"
        );
    }
}
