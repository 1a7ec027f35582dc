"""What could a source take away? Weighed by the loop after each wave, told in its status and as metrics."""

from controller.engine.world import Kind
from tests.support.database import MailWorld
from tests.support.operating import Operating, town


async def test_each_wave_tells_what_the_source_could_take_away(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 6)
    await operating.wave()
    radius = operating.world.status(Kind.SOURCE, "deploycenter")["blastRadius"]
    assert radius == {"accesses": 12, "domains": 6, "stoppedAfter": 6}
    measured = operating.metrics.text().decode()
    for name, value in (("accesses", 12.0), ("domains", 6.0), ("stopped_after", 6.0)):
        labels = '{source_name="deploycenter",source_namespace="default"}'
        assert f"maildomain_blast_radius_{name}{labels} {value}\n" in measured
    operating.domain("d00000.fr", mode="Observe")
    await operating.settle()
    await operating.wave()
    assert operating.world.status(Kind.SOURCE, "deploycenter")["blastRadius"]["accesses"] == 10
