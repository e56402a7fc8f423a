//! Tables on a terminal.

/// Lines up columns: the first to the left, the others to the right.
///
/// ```
/// let table = ragtune_examples::table::render(&["mode", "ndcg@10"], &[vec!["dense".into(), "0.434".into()]]);
/// assert_eq!(table, "mode   ndcg@10\ndense    0.434\n");
/// ```
pub fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |i: usize| rows.iter().filter_map(move |row| row.get(i)).map(String::as_str);
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(i, title)| {
            cells(i)
                .chain([*title])
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |row: &mut dyn Iterator<Item = &str>| {
        let cells = row.zip(&widths).enumerate().map(|(i, (cell, width))| match i {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut table = line(&mut header.iter().copied());
    for row in rows {
        table += &line(&mut row.iter().map(String::as_str));
    }
    table
}
