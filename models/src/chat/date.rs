//! The one date that templates are told: Friday, 26 July 2024, midnight.

/// What the directives of Python's `strftime` stand for.
const DIRECTIVES: [(char, &str); 40] = [
    ('%', "%"),
    ('A', "Friday"),
    ('B', "July"),
    ('C', "20"),
    ('D', "07/26/24"),
    ('F', "2024-07-26"),
    ('G', "2024"),
    ('H', "00"),
    ('I', "12"),
    ('M', "00"),
    ('P', "am"),
    ('R', "00:00"),
    ('S', "00"),
    ('T', "00:00:00"),
    ('U', "29"),
    ('V', "30"),
    ('W', "30"),
    ('X', "00:00:00"),
    ('Y', "2024"),
    ('Z', ""),
    ('a', "Fri"),
    ('b', "Jul"),
    ('c', "Fri Jul 26 00:00:00 2024"),
    ('d', "26"),
    ('e', "26"),
    ('f', "000000"),
    ('g', "24"),
    ('h', "Jul"),
    ('j', "208"),
    ('k', " 0"),
    ('l', "12"),
    ('m', "07"),
    ('n', "\n"),
    ('p', "AM"),
    ('r', "12:00:00 AM"),
    ('t', "\t"),
    ('u', "5"),
    ('w', "5"),
    ('x', "07/26/24"),
    ('y', "24"),
];

/// The date in `format`, as C's locale writes it; `None` for a directive that there is not.
///
/// A `-` drops the padding of a number, as in `%-d`.
pub fn format(format: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut directive = characters.next()?;
        let is_bare = directive == '-';
        if is_bare {
            directive = characters.next()?;
        }
        // Python's own, which C's library does not know.
        let value = match directive {
            'z' => "",
            _ => DIRECTIVES.iter().find(|(known, _)| *known == directive)?.1,
        };
        let is_number = value.trim_start().parse::<u32>().is_ok();
        text += match value.trim_start_matches(['0', ' ']) {
            _ if !is_bare || !is_number => value,
            "" => "0",
            bare => bare,
        };
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn as_python_writes_it() {
        for (directives, expected) in [
            ("%d %b %Y", "26 Jul 2024"),
            ("%A, %B %-d, %Y", "Friday, July 26, 2024"),
            ("%-m/%m %-H:%M %I%p", "7/07 0:00 12AM"),
            ("%Y-%m-%dT%H:%M:%S%z", "2024-07-26T00:00:00"),
            ("100%%", "100%"),
            ("", ""),
        ] {
            assert_eq!(format(directives).unwrap(), expected);
        }
        for unknown in ["%Q", "%", "%-"] {
            assert_eq!(format(unknown), None);
        }
    }
}
