"""Reference of adventure.noodle."""

from __future__ import annotations

from noodle_values import Wrapped, out

TITLES = {
    "hall": "a dusty hall",
    "library": "a library",
    "cellar": "a dark cellar",
    "cave": "a cave with a dragon",
}
EXITS = {
    ("hall", "north"): "library",
    ("hall", "east"): "cellar",
    ("library", "south"): "hall",
    ("cellar", "west"): "hall",
    ("cellar", "down"): "cave",
    ("cave", "up"): "cellar",
}
LOCKS = {
    "cellar": ("lamp", "It is too dark to go there."),
    "cave": ("key", "The trapdoor is locked."),
}

Things = dict[str, list[str]]


def look(place: str, things: Things) -> str:
    ways = ", ".join(sorted(way for room, way in EXITS if room == place))
    seen = ", ".join(things[place]) or "nothing"
    return f"You are in {TITLES[place]}. You see {seen}. Ways: {ways}."


def play(things: Things, script: str) -> None:
    place, bag, health = "hall", [], 0
    mood = Wrapped("Mood.Exploring")
    out(look(place, things))

    def go(way: str) -> str:
        nonlocal place, health, mood
        target = EXITS.get((place, way))
        if target is None:
            return f"There is no way {way}."
        needed, refusal = LOCKS.get(target, ("", ""))
        if needed and needed not in bag:
            return refusal
        place = target
        if place == "cave":
            health, mood = 3, Wrapped("Mood.Fighting", (3,))
        return look(place, things)

    for turns, line in enumerate(script.split("; "), 1):
        verb, *rest = line.split() or [""]
        out(f"> {line}")
        if health and (verb, rest) == ("throw", ["book"]) and "book" in bag:
            out("The dragon begins to read. You take the gold.")
            out(f"You win with {100 - turns} points after {turns} turns.")
            mood = Wrapped("Mood.Won", (100 - turns,))
            break
        if health and (verb, rest) == ("go", ["up"]):
            health, mood = 0, Wrapped("Mood.Exploring")
            out("You flee.", go("up"))
        elif health:
            health -= 1
            mood = Wrapped("Mood.Fighting", (health,))
            out(f"The dragon breathes fire. Health: {health}")
            if not health:
                out("You were eaten by a dragon.")
                mood = Wrapped("Mood.Lost", ("eaten by a dragon",))
                break
        elif (verb, rest) == ("look", []):
            out(look(place, things))
        elif verb == "go":
            out(go(rest[0]))
        elif verb == "take" and rest[0] in things[place]:
            things[place].remove(rest[0])
            bag.append(rest[0])
            out(f"You take the {rest[0]}.")
        elif verb == "take":
            out(f"There is no {rest[0]} here.")
        elif verb == "bag":
            out(f"You carry {' and '.join(bag)}." if bag else "Your bag is empty.")
        elif verb == "say":
            out("You say:", " ".join(rest))
        else:
            out(f"You cannot {verb}." if verb else "Say something.")
    out(mood, bag, place)


def main() -> None:
    things: Things = {"hall": ["lamp"], "library": ["book", "key"], "cellar": [], "cave": ["gold"]}
    play(
        things,
        "look; go west; dance wildly; go east; bag; take sword; take lamp;"
        " say hello   old house; go east; go down",
    )
    play(things, "go north; take key; take book; go south; take lamp")
    things["hall"].append("lamp")
    things["library"] += ["book", "key"]
    play(
        things,
        "take lamp; go north; take book; take key; bag; go south; go east; go down; sing;"
        " go up; go down; throw book; look",
    )
    things["hall"].append("lamp")
    things["library"].append("key")
    play(
        things,
        "take lamp; go north; take key; go south; go east; go down; throw book; ; take gold; look",
    )


if __name__ == "__main__":
    main()
