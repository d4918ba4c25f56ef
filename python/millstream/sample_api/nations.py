"""What people of each nationality are called, where they live, and how their numbers look.

In a pattern `#` stands for a digit and `@` for a capital letter.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nation:
    """The vocabulary of one nationality."""

    code: str
    country: str
    men: tuple[str, ...]
    women: tuple[str, ...]
    last_names: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]  # (city, state)
    streets: tuple[str, ...]
    phone: str
    cell: str
    postcode: str
    postcode_is_number: bool  # randomuser.me sends an integer wherever the code has only digits
    id_name: str
    id_value: str | None
    timezone: tuple[str, str]  # (offset, description)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _cities(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (entry.split("/") for entry in _words(text))
    return tuple((city, state) for city, state in pairs)


NATIONS: tuple[Nation, ...] = (
    Nation(
        "AU",
        "Australia",
        _words("Archer, Callum, Darcy, Flynn, Hamish, Jarrah, Lachlan, Nate, Riley, Zac"),
        _words("Adelaide, Billie, Chloe, Evie, Imogen, Kirra, Matilda, Poppy, Sienna, Tahlia"),
        _words("Barrett, Cullen, Dwyer, Ferguson, Hogan, Kearney, Lawson, O'Brien, Paterson, Whitlam"),
        _cities(
            "Ballarat/Victoria, Bunbury/Western Australia, Cairns/Queensland, Dubbo/New South Wales, "
            "Hobart/Tasmania, Whyalla/South Australia"
        ),
        _words("Bourke Street, Eucalypt Road, Harbour Parade, Miners Lane, Saltbush Drive"),
        "0#-####-####",
        "04##-###-###",
        "####",
        True,
        "TFN",
        "#########",
        ("+9:30", "Adelaide, Darwin"),
    ),
    Nation(
        "BR",
        "Brazil",
        _words("André, Caetano, Davi, Fábio, Ícaro, João, Mateus, Otávio, Renan, Vítor"),
        _words("Ana, Beatriz, Cecília, Eloá, Giovana, Inês, Lívia, Núbia, Taís, Zilda"),
        _words("Araújo, Barbosa, da Conceição, Figueiredo, Gonçalves, Magalhães, Nóbrega, Queirós, Simões, Vilela"),
        _cities("Belém/Pará, Campinas/São Paulo, Maceió/Alagoas, Niterói/Rio de Janeiro, Uberlândia/Minas Gerais"),
        _words("Avenida da Saudade, Rua das Flores, Rua São José, Travessa do Porto, Rua Quinze de Novembro"),
        "(##) ####-####",
        "(##) 9####-####",
        "#####",
        True,
        "CPF",
        "###.###.###-##",
        ("-3:00", "Brazil, Buenos Aires, Georgetown"),
    ),
    Nation(
        "CA",
        "Canada",
        _words("Benoît, Cédric, Dylan, Etienne, Gavin, Liam, Mathis, Owen, Théo, Wyatt"),
        _words("Amélie, Brooke, Chantal, Delphine, Élodie, Maëlle, Noémie, Paige, Sophie, Zoé"),
        _words("Bouchard, Chow, Desjardins, Fraser, Gagné, Lévesque, MacDonald, Okafor, Singh, Tremblay"),
        _cities(
            "Gander/Newfoundland and Labrador, Kelowna/British Columbia, Lévis/Québec, Moncton/New Brunswick, "
            "Sudbury/Ontario"
        ),
        _words("Balsam Avenue, Chemin du Lac, Portage Road, Rue Principale, York Street"),
        "###-###-####",
        "###-###-####",
        "@#@ #@#",
        False,
        "SIN",
        "### ### ###",
        ("-3:30", "Newfoundland"),
    ),
    Nation(
        "CH",
        "Switzerland",
        _words("Beat, Curdin, Dario, Fabrice, Gian, Jürg, Luca, Reto, Ueli, Yannick"),
        _words("Aline, Barla, Céline, Flurina, Giulia, Heidi, Ladina, Mirjam, Seraina, Vreni"),
        _words("Aebischer, Bühler, Caduff, Favre, Grünig, Jeanneret, Lüthi, Nägeli, Rossi, Zbinden"),
        _cities("Chur/Graubünden, Delémont/Jura, Lugano/Ticino, Thun/Bern, Yverdon-les-Bains/Vaud"),
        _words("Bahnhofstrasse, Chemin des Vignes, Dorfgasse, Rue du Marché, Via Cantonale"),
        "0## ### ## ##",
        "07# ### ## ##",
        "####",
        True,
        "AVS",
        "756.####.####.##",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "DE",
        "Germany",
        _words("Anton, Björn, Detlef, Fiete, Günther, Jörg, Lennart, Ole, Sönke, Uwe"),
        _words("Änne, Britta, Doreen, Frauke, Gesa, Ilse, Käthe, Mareike, Ronja, Wiebke"),
        _words("Böttcher, Eichhorn, Förster, Größ, Hübner, Krämer, Lüders, Petersen, Schäfer, Weiß"),
        _cities(
            "Görlitz/Sachsen, Husum/Schleswig-Holstein, Lüneburg/Niedersachsen, Passau/Bayern, "
            "Tübingen/Baden-Württemberg"
        ),
        _words("Am Mühlgraben, Birkenweg, Gartenstraße, Lindenallee, Schulstraße"),
        "0###-#######",
        "017#-#######",
        "#####",
        True,
        "SVNR",
        "## ###### @ ###",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "ES",
        "Spain",
        _words("Álvaro, Benito, Fermín, Gonzalo, Iñaki, Joaquín, Martín, Óscar, Rubén, Xavier"),
        _words("Ainhoa, Begoña, Concepción, Inés, Lucía, Montserrat, Nuria, Rocío, Sofía, Úrsula"),
        _words("Aguirre, Benítez, Cortés, Echeverría, Fuentes, Ibáñez, Muñoz, Ordóñez, Peña, Yáñez"),
        _cities("Cáceres/Extremadura, Gijón/Asturias, León/Castilla y León, Mérida/Extremadura, Vitoria/País Vasco"),
        _words("Avenida de América, Calle de Toledo, Calle del Pez, Paseo de Extremadura, Ronda de Toledo"),
        "9##-###-###",
        "6##-###-###",
        "#####",
        True,
        "DNI",
        "########-@",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "FR",
        "France",
        _words("Aurélien, Bastien, Clément, Gaëtan, Hervé, Loïc, Maël, Noël, Rémi, Yves"),
        _words("Agnès, Clémence, Élise, Fleur, Hélène, Jeanne, Léa, Margaux, Océane, Solène"),
        _words("Barbier, Chevalier, Dufour, Faure, Guérin, Lefèvre, L'Hôpital, Mercier, Perrin, Rousseau"),
        _cities("Arles/Bouches-du-Rhône, Brest/Finistère, Dole/Jura, Nîmes/Gard, Orléans/Loiret"),
        _words("Avenue du Château, Place de la République, Rue de l'Abbaye, Rue des Écoles, Rue Pasteur"),
        "0#-##-##-##-##",
        "06-##-##-##-##",
        "#####",
        True,
        "INSEE",
        "############# ##",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "GB",
        "United Kingdom",
        _words("Alfie, Barnaby, Dafydd, Euan, Frank, Graham, Hugh, Nigel, Rhys, Stuart"),
        _words("Abigail, Beth, Cerys, Edith, Fiona, Gemma, Isla, Morag, Nia, Rosie"),
        _words("Ashworth, Bevan, Campbell, Drummond, Fairclough, Griffiths, Mackay, Pritchard, Stokes, Wren"),
        _cities(
            "Bangor/Gwynedd, Inverness/Highland, Newry/County Down, Ripon/North Yorkshire, Truro/Cornwall, "
            "Wells/Somerset"
        ),
        _words("Chapel Street, Mill Lane, Station Road, The Crescent, Windmill Hill"),
        "01### ######",
        "07### ######",
        "@@# #@@",
        False,
        "NINO",
        "@@ ## ## ## @",
        ("0:00", "Western Europe Time, London, Lisbon, Casablanca"),
    ),
    Nation(
        "IN",
        "India",
        _words("Aarav, Balaji, Devansh, Farhan, Gautam, Ishaan, Karthik, Nikhil, Rohan, Vivaan"),
        _words("Aditi, Bhavna, Charu, Deepika, Gayatri, Ishita, Kavya, Meera, Nandini, Saanvi"),
        _words("Banerjee, Chaudhary, Deshmukh, Gowda, Iyer, Kulkarni, Menon, Naidu, Rathore, Thakur"),
        _cities("Guntur/Andhra Pradesh, Indore/Madhya Pradesh, Kochi/Kerala, Nashik/Maharashtra, Siliguri/West Bengal"),
        _words("Brigade Road, Gandhi Marg, Lake View Road, Station Road, Temple Street"),
        "0##########",
        "9#########",
        "######",
        True,
        "UIDAI",
        "############",
        ("+5:30", "Bombay, Calcutta, Madras, New Delhi"),
    ),
    Nation(
        "NL",
        "Netherlands",
        _words("Bram, Daan, Floris, Gijs, Joris, Maarten, Niels, Ruben, Sjoerd, Thijs"),
        _words("Anouk, Bente, Doutzen, Fenna, Geertje, Hanneke, Jet, Lotte, Marijke, Sanne"),
        _words("Bakker, de Vries, Hoekstra, in 't Veld, Jansen, Mulder, van den Berg, van der Meer, Visser, Zijlstra"),
        _cities("Assen/Drenthe, Delft/Zuid-Holland, Sneek/Friesland, Venlo/Limburg, Zwolle/Overijssel"),
        _words("Achterweg, Dorpsstraat, Kerkplein, Molenlaan, Zandpad"),
        "(0##) #######",
        "(06) ########",
        "#### @@",
        False,
        "BSN",
        "########",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "NO",
        "Norway",
        _words("Aksel, Bjørn, Eirik, Håkon, Jørgen, Kåre, Magnus, Odd, Sigurd, Øystein"),
        _words("Åse, Brita, Eldbjørg, Gro, Hedda, Ingrid, Kjersti, Liv, Solveig, Tuva"),
        _words("Aasen, Bråten, Dahl, Fjeld, Gjerde, Haugen, Kvåle, Nygård, Sæther, Ødegård"),
        _cities("Bodø/Nordland, Drøbak/Akershus, Molde/Møre og Romsdal, Tromsø/Troms, Voss/Vestland"),
        _words("Bakkegata, Elveveien, Kirkeveien, Måltrostveien, Sjøgata"),
        "########",
        "4#######",
        "0###",
        False,
        "FN",
        "###########",
        ("+1:00", "Brussels, Copenhagen, Madrid, Paris"),
    ),
    Nation(
        "NZ",
        "New Zealand",
        _words("Angus, Brodie, Corban, Hēmi, Jonty, Manaia, Nikau, Rāwiri, Tama, Wiremu"),
        _words("Anahera, Bridie, Hana, Kahurangi, Mereana, Ngaio, Pippa, Ruby, Tui, Whetū"),
        _words("Anderson, Blackwood, Clarke, Harawira, Kingi, Ngata, Parata, Robertson, Tūhoe, Walker"),
        _cities("Gisborne/Gisborne, Nelson/Nelson, Oamaru/Otago, Taupō/Waikato, Whangārei/Northland"),
        _words("Beach Road, Great North Road, Kōwhai Street, Marine Parade, Tāmaki Drive"),
        "(0##)-###-####",
        "(02#)-###-####",
        "#####",
        True,
        "",
        None,
        ("+12:00", "Auckland, Wellington, Fiji, Kamchatka"),
    ),
    Nation(
        "UA",
        "Ukraine",
        _words("Андрій, Богдан, Григорій, Євген, Іван, Марко, Назар, Остап, Тарас, Юрій"),
        _words("Анастасія, Віра, Ганна, Дарина, Зоряна, Ірина, Леся, Марія, Оксана, Соломія"),
        _words("Бондаренко, Гончар, Дзюба, Коваленко, Лисенко, Мельник, Нечай, Пономаренко, Стець, Шевчук"),
        _cities("Луцьк/Волинська, Ніжин/Чернігівська, Одеса/Одеська, Полтава/Полтавська, Ужгород/Закарпатська"),
        _words("Вишнева, Лесі Українки, Садова, Франка, Шевченка"),
        "(0##) @##-####",
        "(06#) @##-####",
        "#####",
        True,
        "",
        None,
        ("+2:00", "Kaliningrad, South Africa"),
    ),
    Nation(
        "US",
        "United States",
        _words("Bennett, Carlos, Dwayne, Eli, Harold, Jerome, Luther, Marcus, Tyler, Wesley"),
        _words("Bernice, Camila, Dolores, Gwendolyn, Hailey, Juanita, Keisha, Lorraine, Naomi, Tamara"),
        _words("Bradley, Castillo, Douglas, Freeman, Hawkins, Jefferson, Lopez, Morrison, Nguyen, Washington"),
        _cities("Boise/Idaho, Duluth/Minnesota, El Paso/Texas, Macon/Georgia, Salem/Oregon, Utica/New York"),
        _words("Cedar Street, Fifth Avenue, Hickory Creek Drive, Oak Ridge Lane, Railroad Street"),
        "(###) ###-####",
        "(###) ###-####",
        "#####",
        True,
        "SSN",
        "###-##-####",
        ("-5:00", "Eastern Time (US & Canada), Bogota, Lima"),
    ),
)

BY_CODE: dict[str, Nation] = {nation.code: nation for nation in NATIONS}
