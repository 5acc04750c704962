/// For every mask of eight lanes, the lanes whose bit is set, in order, and then zeros.
pub(super) static PACKED: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut mask = 0;
    while mask < table.len() {
        let (mut lane, mut len) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 != 0 {
                table[mask][len] = lane as u8;
                len += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};
