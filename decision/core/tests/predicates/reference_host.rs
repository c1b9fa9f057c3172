//! Hosts for the reference: texts are taken apart by hand. Knows the ASCII part of what the product knows, and says so for
//! nothing else: the generator makes only such texts.

/// The host, in lower case and without the dot at its end.
pub fn of(text: &str) -> Option<String> {
    let authority = match text.find("://") {
        None => text.to_owned(),
        Some(at) => {
            let (scheme, rest) = (text[..at].to_ascii_lowercase(), &text[at + 3..]);
            if (scheme != "http" && scheme != "https") || text.contains([' ', '\\', '\t']) {
                return None;
            }
            rest.chars().take_while(|c| !"/?#".contains(*c)).collect()
        }
    };
    let (host, port) = authority.rsplit_once(':').unwrap_or((&authority, "1"));
    if port.is_empty() || !port.chars().all(|c| c.is_ascii_digit()) || !(1..65_536).contains(&port.parse::<u32>().ok()?)
    {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    if labels.iter().any(|label| {
        label.is_empty()
            || label.len() > 63
            || !label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
    }) {
        return None;
    }
    // A last label of digits makes it an address, which must be four plain numbers.
    let number = |label: &&str| label.parse::<u8>().is_ok_and(|number| number.to_string() == **label);
    let last = labels.last()?;
    if last.chars().all(|c| c.is_ascii_digit()) {
        return (labels.len() == 4 && labels.iter().all(number)).then_some(host);
    }
    Some(host)
}

/// Whether a name of a rule or registry means the host.
pub fn is(host: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix('*') {
        Some(end) => host.len() > end.len() && host.ends_with(end),
        None => host == name,
    }
}
