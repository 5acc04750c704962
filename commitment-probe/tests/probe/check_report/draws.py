"""What the report draws by chance, drawn again."""

SEED = 260_522_007
MASK = 2**64 - 1


class Draws:
    """SplitMix64, as the report draws."""

    def __init__(self, number):
        self.state = SEED
        first = self.next()
        self.state = number
        self.state = first ^ self.next()

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = ((self.state ^ (self.state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def shuffle(self, values):
        for i in range(len(values) - 1, 0, -1):
            j = (self.next() * (i + 1)) >> 64
            values[i], values[j] = values[j], values[i]
