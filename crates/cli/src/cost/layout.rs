//! Tables of amounts: numbers stand on the right.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Columns that a line may have.
const WIDTH: u16 = 80;

/// A table, a letter of `columns` for each: `l` stands on the left, `r` on the right.
pub(crate) fn table(columns: &str, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for (column, side) in table.column_iter_mut().zip(columns.chars()) {
        if side == 'r' {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
